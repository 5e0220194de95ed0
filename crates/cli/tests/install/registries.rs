//! A registry that lies: other bytes than it announced, other words to npm than to 3pm.

use serde_json::{Value, json};
use trust::Integrity;

use crate::harness::proxy::{self, Request, Response, Upstream};
use crate::harness::world::World;
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{ask, plain, stock};

/// Whom a lie is told.
#[derive(Clone, Copy, PartialEq)]
enum To {
    Npm,
    ThreePm,
    Both,
}

fn is_for(request: &Request, to: To) -> bool {
    let agent = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("user-agent"));
    let ours = agent.is_some_and(|(_, value)| value.starts_with("3pm/"));
    match to {
        To::Both => true,
        To::ThreePm => ours,
        To::Npm => !ours,
    }
}

/// Verdaccio behind a proxy that serves `evil` in place of the tarball of `name`.
fn swapping_tarball(world: &World, name: &'static str, evil: Vec<u8>, to: To) -> String {
    proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
        let mut response: Response = ask(upstream, request)?;
        if request.path.starts_with(&format!("/{name}/-/")) && is_for(request, to) {
            response.body = evil.clone();
        }
        Some(response)
    })
}

/// Verdaccio behind a proxy that changes the description of `name`@1.0.0.
fn describing(world: &World, name: &'static str, to: To, change: fn(&mut Value)) -> String {
    proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
        let mut response = ask(upstream, request)?;
        if request.path == format!("/{name}") && is_for(request, to) {
            response.edit_json(|document| change(&mut document["versions"]["1.0.0"]));
        }
        Some(response)
    })
}

/// A signed package, and a project whose user talks to the registry through `proxy`.
fn signed(world: &World, name: &str) -> Vec<u8> {
    let ledger = Ledger::of(world);
    let tarball = stock(world, name, "1.0.0", "good");
    ledger.claim(name, &TEAM);
    ledger.publish(name, "1.0.0", &tarball, &["alice", "bob"]);
    tarball
}

fn project(world: &World, name: &str, registry: &str) -> Project {
    let mut project = Project::asking(world, name, json!({name: "1.0.0"}));
    project.user = project.user.with("NPM_CONFIG_REGISTRY", registry);
    project
}

#[test]
fn bytes_swapped_for_everybody_are_a_mismatch_and_nothing_is_unpacked() {
    let world = World::shared();
    let good = signed(world, "r-swapped");
    let evil = plain("r-swapped", "1.0.0", "evil");
    let registry = swapping_tarball(world, "r-swapped", evil.clone(), To::Both);
    let project = project(world, "r-swapped", &registry);
    let before = project.contents();
    let (expected, received) = (Integrity::of(&good).to_string(), Integrity::of(&evil).to_string());
    project.install(&[]).refused().ended_with(50).says(&["Mismatch", &expected, &received]);
    assert_eq!(project.contents(), before);
}

#[test]
fn bytes_swapped_between_the_check_and_npm_do_not_get_in() {
    let world = World::shared();
    signed(world, "r-between");
    let registry = swapping_tarball(world, "r-between", plain("r-between", "1.0.0", "evil"), To::Npm);
    let project = project(world, "r-between", &registry);
    project.write("node_modules/kept/index.js", "as before");
    let before = project.contents();
    project.install(&[]).ended_with(50).refused().says(&["Mismatch"]);
    assert_eq!(project.contents(), before);
}

#[test]
fn swapped_bytes_of_a_package_nobody_enrolled_do_not_get_in_either() {
    let world = World::shared();
    stock(world, "r-unknown", "1.0.0", "good");
    let registry = swapping_tarball(world, "r-unknown", plain("r-unknown", "1.0.0", "evil"), To::Both);
    let mut project = project(world, "r-unknown", &registry);
    // npm itself tries for over a minute, as with a network that stutters.
    project.user = project.user.with("npm_config_fetch_retries", "0");
    let before = project.contents();
    project.install(&[]).ended_with(50).refused().says(&["the registry serves others than it announces"]);
    assert_eq!(project.contents(), before);
}

#[test]
fn a_description_that_adds_dependencies_is_a_mismatch_whoever_it_is_told() {
    let world = World::shared();
    stock(world, "r-added", "1.0.0", "evil");
    for (name, to) in [("r-told-npm", To::Npm), ("r-told-us", To::ThreePm), ("r-told-both", To::Both)] {
        signed(world, name);
        let registry =
            describing(world, name, to, |version| version["dependencies"] = json!({"r-added": "1"}));
        let project = project(world, name, &registry);
        let before = project.contents();
        project.install(&[]).refused().ended_with(50).says(&[
            "Mismatch",
            "manifest: dependencies",
            "r-added",
        ]);
        assert_eq!(project.contents(), before);
    }
}

#[test]
fn an_announced_hash_that_is_another_or_two_or_none_is_refused() {
    let world = World::shared();
    let changes: [(&str, fn(&mut Value)); 3] = [
        ("r-hash-other", |version| version["dist"]["integrity"] = json!(Integrity::of(b"evil").to_string())),
        ("r-hash-two", |version| {
            let first = version["dist"]["integrity"].as_str().unwrap_or_default().to_owned();
            version["dist"]["integrity"] = json!(format!("{first} {}", Integrity::of(b"evil")));
        }),
        ("r-hash-none", |version| {
            if let Some(dist) = version["dist"].as_object_mut() {
                dist.remove("integrity");
                dist.remove("shasum");
            }
        }),
    ];
    for (name, change) in changes {
        signed(world, name);
        let registry = describing(world, name, To::Npm, change);
        let project = project(world, name, &registry);
        let before = project.contents();
        project.install(&[]).refused().ended_with(50);
        assert_eq!(project.contents(), before, "{name}");
    }
}

#[test]
fn a_tarball_on_another_host_is_named_and_needs_consent_unless_its_bytes_are_signed() {
    let world = World::shared();
    let elsewhere =
        proxy::start(world.registry(), |request: &Request, upstream: &Upstream| ask(upstream, request));
    let host = elsewhere.trim_start_matches("http://").trim_end_matches('/').to_owned();
    for (name, redirects, code) in [
        ("r-moved-signed", false, 0),
        ("r-moved", false, 13),
        ("r-sent-signed", true, 0),
        ("r-sent", true, 13),
    ] {
        match code {
            0 => signed(world, name),
            _ => stock(world, name, "1.0.0", "1"),
        };
        let elsewhere = elsewhere.clone();
        let registry = proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
            let mut response = ask(upstream, request)?;
            let url = format!("{elsewhere}{name}/-/{name}-1.0.0.tgz");
            if request.path == format!("/{name}") && !redirects {
                response.edit_json(|document| document["versions"]["1.0.0"]["dist"]["tarball"] = json!(url));
            } else if request.path.ends_with(".tgz") && redirects {
                let headers = vec![("location".into(), url)];
                response = Response { status: 302, headers, body: vec![] };
            }
            Some(response)
        });
        let project = project(world, name, &registry);
        let words: &[&str] =
            if redirects && code == 0 { &[&host] } else { &[&host, "not the configured registry"] };
        project.install(&[]).ended_with(code).says(words);
        assert_eq!(project.has("node_modules"), code == 0);
        if code != 0 {
            project.install(&["--yes"]).succeeded();
        }
    }
}

#[test]
fn a_document_that_is_no_json_is_refused_and_says_which_and_what_to_do() {
    let world = World::shared();
    stock(world, "no-json", "1.0.0", "1");
    let registry = proxy::start(world.registry(), move |request: &Request, upstream: &Upstream| {
        let mut response = ask(upstream, request)?;
        if request.path == "/no-json" {
            response.body = br#"{"name": "no-json", "versions": {"#.to_vec();
        }
        Some(response)
    });
    let mut project = Project::asking(world, "no-json-project", json!({"no-json": "1.0.0"}));
    project.user = project.user.with("NPM_CONFIG_REGISTRY", &registry);
    let told = [
        "the registry's document at /no-json cannot be read",
        "expected JSON",
        "tell whoever runs that registry",
    ];
    project.install(&[]).refused().says(&told);
    assert!(!project.has("node_modules"));
}
