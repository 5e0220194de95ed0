//! What a user and a project want done: with the real package managers, from the files as people write them.

use serde_json::{Value, json};

use crate::clients::{Client, WITH_MODULES};
use crate::harness::people::Person;
use crate::harness::world::World;
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::{put, stock, tarball};

/// A package whose postinstall leaves a file beside it.
fn scripted(world: &World, name: &str, version: &str) -> Vec<u8> {
    let manifest = json!({"name": name, "version": version, "scripts": {"postinstall": "node mark.js"}});
    let mark = "require('fs').writeFileSync('ran', '')\n";
    let bytes = tarball(&manifest, &[("mark.js", mark), ("index.js", version)]);
    put(world, &world.person("alice"), &manifest, &bytes);
    bytes
}

/// The user of `project`, with a home of his own in which `policy` is written.
fn wanting(project: &Project, policy: &Value) -> Person {
    let home = project.root.with_extension("3pm");
    std::fs::create_dir_all(&home).expect("a folder");
    let config = std::fs::read_to_string(format!("{}/config.json", project.user.home())).expect("a file");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    config["policy"] = policy.clone();
    std::fs::write(home.join("config.json"), config.to_string()).expect("a file");
    project.user.clone().with("THREEPM_HOME", home.display().to_string())
}

/// The line that decided about `name`.
fn decided_by<'a>(document: &'a Value, name: &str) -> &'a Value {
    let packages = document["packages"].as_array().expect("packages");
    &packages.iter().find(|package| package["name"] == name).expect("the package")["decidedBy"]
}

#[test]
fn a_project_tightens_and_does_not_loosen() {
    let world = World::shared();
    stock(world, "y-plain", "1.0.0", "1");
    let ledger = Ledger::of(world);
    ledger.claim("y-enrolled", &TEAM);
    stock(world, "y-enrolled", "1.0.0", "1");
    let project = Project::asking(world, "policy-tightens", json!({"y-plain": "1"}));
    project.write("3pm.toml", "[policy]\nrequired = [\"y-*\"]\n");
    let ended = project.install(&["--json"]).ended_with(11);
    let document = ended.json();
    assert_eq!(decided_by(&document, "y-plain")["rule"], "required", "{document:#}");
    assert_eq!(decided_by(&document, "y-plain")["origin"], json!({"project": "3pm.toml"}));
    assert!(!project.has("node_modules") && !project.has("package-lock.json"));
    project.install(&[]).ended_with(11).says(&["required in 3pm.toml", "y-* has to be verified"]);
    // What the user denies, the project does not allow.
    let project = Project::asking(world, "policy-loosens", json!({"y-plain": "1"}));
    project.write("3pm.toml", "[policy]\nnotEnrolled = \"allow\"\nunrecorded = \"allow\"\n");
    let user = wanting(&project, &json!({"notEnrolled": "deny"}));
    let document = user.threepm(["install", "--json"]).ended_with(11).json();
    assert_eq!(decided_by(&document, "y-plain")["origin"], "user", "{document:#}");
    let project = Project::asking(world, "policy-loosens-built-in", json!({"y-enrolled": "1"}));
    project.write("3pm.toml", "[policy]\nunrecorded = \"allow\"\n");
    project.install(&[]).ended_with(30);
}

#[test]
fn a_file_that_is_no_policy_stops_everything() {
    let world = World::shared();
    stock(world, "y-typo", "1.0.0", "1");
    let project = Project::asking(world, "policy-typo", json!({"y-typo": "1"}));
    project.write("3pm.toml", "[policy]\nunrecorded = \"deny\"\nminimumReleaseAge = \"soon\"\n");
    project.install(&[]).ended_with(2).says(&[
        "3pm.toml is not a policy: line 3",
        "\"soon\"",
        "docs/policy.md",
    ]);
    assert!(!project.has("node_modules"));
}

#[test]
fn warnings_are_accepted_with_yes_refused_with_deny_and_not_both() {
    let world = World::shared();
    stock(world, "y-warned", "1.0.0", "1");
    let project = Project::asking(world, "policy-warns", json!({"y-warned": "1"}));
    project.write("3pm.toml", "[policy]\nnotEnrolled = \"warn\"\n");
    project.install(&[]).ended_with(11).says(&["nobody to ask", "--yes"]);
    project.install(&["--deny"]).ended_with(11);
    project.install(&["--deny", "--yes"]).ended_with(2);
    assert!(!project.has("node_modules"));
    project.install(&["--yes"]).succeeded();
    assert!(project.has("node_modules/y-warned/index.js"));
}

#[test]
fn a_version_that_came_out_just_now_is_refused_until_it_is_old_enough_or_excepted() {
    let world = World::shared();
    stock(world, "y-young", "1.0.0", "1");
    let ledger = Ledger::of(world);
    let signed = stock(world, "y-young-signed", "1.0.0", "1");
    ledger.claim("y-young-signed", &TEAM);
    ledger.publish("y-young-signed", "1.0.0", &signed, &["alice", "bob"]);
    for client in [Client::Npm, Client::Pnpm] {
        for package in ["y-young", "y-young-signed"] {
            let name = format!("{package}-{client:?}").to_lowercase();
            let project = Project::asking(world, &name, json!({package: "1"}));
            project.write("3pm.toml", "[policy]\nminimumReleaseAge = \"1 hour\"\n");
            let document = client.through(world, &project, &["install"]).ended_with(14).json();
            assert_eq!(decided_by(&document, package)["rule"], "youngRelease", "{client:?}: {document:#}");
            assert!(!project.has("node_modules"), "{client:?}");
            let excepted =
                "[[policy.exceptions]]\nrule = \"youngRelease\"\npackage = \"y-*\"\nuntil = \"2099-12-31\"\n";
            project.write("3pm.toml", &format!("{}{excepted}", project.read("3pm.toml")));
            client.through(world, &project, &["install"]).succeeded();
            assert!(project.has(&format!("node_modules/{package}/index.js")), "{client:?}");
        }
    }
}

#[test]
fn scripts_run_when_their_bytes_are_approved_and_no_longer_when_one_differs() {
    let world = World::shared();
    scripted(world, "y-scripted", "1.0.0");
    for client in WITH_MODULES {
        let name = format!("policy-scripts-{client:?}").to_lowercase();
        let project = Project::new(world, &name);
        let manifest = |version: &str| {
            json!({
                "name": name, "version": "1.0.0", "dependencies": {"y-scripted": version},
                "trustedDependencies": ["y-scripted"], "pnpm": {"onlyBuiltDependencies": ["y-scripted"]},
                "scripts": {"postinstall": "node -e \"require('fs').writeFileSync('own', '')\""},
                "dependenciesMeta": {"y-scripted": {"built": true}}, "allowScripts": {"y-scripted": true},
            })
            .to_string()
        };
        project.write("package.json", &manifest("1.0.0"));
        project.write("pnpm-workspace.yaml", "packages: []\nallowBuilds:\n  y-scripted: true\n");
        project.write("3pm.toml", "# Ours.\n[policy]\nscripts = \"deny\"");
        let marked = "node_modules/y-scripted/ran";
        let document = client.through(world, &project, &["install"]).succeeded().json();
        let held = &document["end"]["packagesWithScripts"][0];
        assert_eq!(held["scripts"], json!(["postinstall: node mark.js"]), "{client:?}: {document:#}");
        assert_eq!(held["decidedBy"]["action"], "deny", "{client:?}");
        assert!(!project.has(marked), "{client:?}");
        // The project's own are the project's own.
        assert!(project.has("own"), "{client:?}");
        // Approved: these bytes.
        let user = client.user(world, &project);
        user.threepm(["policy", "approve", "y-scripted"]).succeeded().says(&["y-scripted@1.0.0"]);
        assert!(
            project.read("3pm.toml").starts_with("# Ours.\n[policy]\nscripts = \"deny\"\n"),
            "{client:?}"
        );
        let document = client.through(world, &project, &["install"]).succeeded().json();
        assert_eq!(document["end"]["packagesWithScripts"][0]["decidedBy"]["action"], "allow", "{client:?}");
        assert!(project.has(marked), "{client:?}: {document:#}");
        let rows = user.threepm(["policy", "scripts", "--json"]).succeeded().json();
        assert_eq!(
            (&rows[0]["name"], &rows[0]["mayRun"]),
            (&json!("y-scripted"), &json!(true)),
            "{client:?}"
        );
    }
    // Another version is other bytes.
    scripted(world, "y-scripted", "1.0.1");
    let project = Project::asking(world, "policy-scripts-npm", json!({"y-scripted": "1.0.1"}));
    let document = Client::Npm.through(world, &project, &["install"]).succeeded().json();
    assert_eq!(document["end"]["packagesWithScripts"][0]["decidedBy"]["action"], "deny", "{document:#}");
    assert!(!project.has("node_modules/y-scripted/ran"));
}

#[test]
fn what_the_user_holds_back_only_the_user_approves() {
    let world = World::shared();
    scripted(world, "y-held", "1.0.0");
    let project = Project::asking(world, "policy-held", json!({"y-held": "1.0.0"}));
    let user = wanting(&project, &json!({"scripts": "deny"}));
    user.threepm(["install"])
        .succeeded()
        .says(&["y-held@1.0.0  denied by scripts in the user's config.json"]);
    user.threepm(["policy", "approve", "y-held"]).succeeded().says(&["still denied by scripts", "--user"]);
    user.threepm(["install"]).succeeded();
    assert!(!project.has("node_modules/y-held/ran"));
    user.threepm(["policy", "approve", "--user", "y-held"]).succeeded();
    user.threepm(["install"]).succeeded();
    assert!(project.has("node_modules/y-held/ran"));
    user.threepm(["policy", "approve", "y-other"]).ended_with(2).says(&["3pm policy scripts"]);
}

#[test]
fn scripts_of_what_is_signed_run_where_that_is_the_rule() {
    let world = World::shared();
    let bytes = scripted(world, "y-signed-script", "1.0.0");
    scripted(world, "y-plain-script", "1.0.0");
    let ledger = Ledger::of(world);
    ledger.claim("y-signed-script", &TEAM);
    ledger.publish("y-signed-script", "1.0.0", &bytes, &["alice", "bob"]);
    let asked = json!({"y-signed-script": "1", "y-plain-script": "1"});
    for client in [Client::Npm, Client::Pnpm, Client::YarnClassic] {
        let name = format!("policy-verified-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, asked.clone());
        project.write("pnpm-workspace.yaml", "onlyBuiltDependencies: [y-signed-script, y-plain-script]\n");
        project.write("3pm.toml", "[policy]\nscripts = \"verified\"\n");
        let document = client.through(world, &project, &["install"]).succeeded().json();
        assert!(project.has("node_modules/y-signed-script/ran"), "{client:?}: {document:#}");
        assert!(!project.has("node_modules/y-plain-script/ran"), "{client:?}: {document:#}");
    }
}

#[test]
fn the_policy_says_what_holds_and_why() {
    let world = World::shared();
    stock(world, "y-explained", "1.0.0", "1");
    let project = Project::asking(world, "policy-explained", json!({"y-explained": "1"}));
    project.write("3pm.toml", "[policy]\nlegacy = \"deny\"\nrequired = [\"y-explained\"]\n");
    project
        .user
        .threepm(["policy", "show"])
        .succeeded()
        .says(&[
            "unrecorded           deny     built in",
            "3pm.toml",
            "scripts              allow    built in",
        ])
        .says(&["offline              1 day    built in"]);
    let shown = project.user.threepm(["policy", "show", "--json"]).succeeded().json();
    assert_eq!(shown["scripts"], json!({"value": "allow", "origin": "builtIn"}));
    assert_eq!(shown["offline"], json!({"value": "1 day", "origin": "builtIn"}));
    let legacy = shown["effective"].as_array().expect("lines").iter().find(|line| line["rule"] == "legacy");
    assert_eq!(legacy, Some(&json!({"rule": "legacy", "origin": {"project": "3pm.toml"}, "action": "deny"})));
    project
        .user
        .threepm(["policy", "explain", "y-explained"])
        .succeeded()
        .says(&["NotEnrolled", "Denied by required in 3pm.toml: y-explained has to be verified."]);
    let explained =
        project.user.threepm(["policy", "explain", "--json", "y-explained@1.0.0"]).succeeded().json();
    assert_eq!(explained[0]["decidedBy"]["rule"], "required", "{explained:#}");
    assert_eq!(explained[0]["lines"].as_array().map(Vec::len), Some(2), "{explained:#}");
    assert!(!project.has("node_modules"));
}

#[test]
fn a_dry_run_says_what_would_be_installed_and_leaves_everything_as_it_is() {
    let world = World::shared();
    stock(world, "y-dry", "1.0.0", "1");
    stock(world, "y-dry-more", "1.0.0", "1");
    for client in WITH_MODULES.into_iter().chain([Client::YarnPnp]) {
        let name = format!("policy-dry-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, json!({"y-dry": "1"}));
        let user = client.user(world, &project);
        let go = |flags: &[&str], words: &[&str]| {
            let command = ["run-with", client.command(), "--json"].into_iter().chain(flags.iter().copied());
            user.threepm(command.chain(["--"]).chain(words.iter().copied()))
        };
        go(&[], &["install"]).succeeded();
        let before = project.contents();
        let add = if client == Client::Npm { "install" } else { "add" };
        let document = go(&["--dry-run"], &[add, "y-dry-more"]).succeeded().json();
        let packages = document["packages"].as_array().expect("packages");
        assert!(packages.iter().any(|package| package["name"] == "y-dry-more"), "{client:?}: {document:#}");
        let plan = &document["end"];
        assert_eq!(plan["state"], "planned", "{client:?}");
        assert_eq!(plan["installs"], json!(["y-dry-more@1.0.0"]), "{client:?}");
        assert_eq!((&plan["removes"], &plan["stays"]), (&json!([]), &json!(1)), "{client:?}");
        assert!(project.contents() == before, "{client:?}");
    }
}

#[test]
fn a_dry_run_is_a_plan_with_names_and_what_the_policy_would_ask_about_is_part_of_it() {
    let world = World::shared();
    for name in ["y-plan", "y-plan-other"] {
        stock(world, name, "1.0.0", "1");
    }
    let project = Project::asking(world, "policy-plan", json!({"y-plan": "1"}));
    let plan = project.install(&["--dry-run"]).succeeded();
    let plan = plan.says(&[
        "Would install 1 package:\n  y-plan@1.0.0  NotEnrolled: 3pm knows nothing of this name\n",
        "Nothing was changed: this was a dry run.",
    ]);
    assert!(!plan.stdout.contains("Warnings") && !plan.stderr.contains("added"), "{plan}");
    assert!(!project.has("node_modules") && !project.has("package-lock.json"));
    project.install(&[]).succeeded();
    project.install(&["--dry-run"]).succeeded().says(&["Would install nothing new, leave 1 as it is.\n"]);
    let before = project.contents();
    let removing = project.user.threepm(["run-with", "npm", "--dry-run", "--", "uninstall", "y-plan"]);
    removing
        .succeeded()
        .says(&["Would install nothing new, remove 1 package:\n  y-plan@1.0.0  would be removed\n"]);
    // What would be asked about is a warning of the plan; --deny wants to know.
    project.write("3pm.toml", "[policy]\nnotEnrolled = \"warn\"\n");
    let plan = project.install(&["y-plan-other", "--dry-run"]).succeeded();
    let plan =
        plan.says(&["Would install 1 package, leave 1 as it is:\n  y-plan-other@1.0.0", "would ask about:"]);
    assert!(!plan.stderr.contains("error"), "{plan}");
    project.install(&["y-plan-other", "--dry-run", "--deny"]).ended_with(11);
    // What is denied is none.
    project.write("3pm.toml", "[policy]\nnotEnrolled = \"deny\"\n");
    let denied = project.install(&["y-plan-other", "--dry-run"]).ended_with(11);
    assert!(!denied.stdout.contains("Would install"), "{denied}");
    std::fs::remove_file(project.root.join("3pm.toml")).expect("a file");
    assert!(project.contents() == before);
}

#[test]
fn what_only_writes_a_lockfile_leaves_the_tree_alone() {
    let world = World::shared();
    stock(world, "y-locked", "1.0.0", "1");
    for (client, words) in [
        (Client::Npm, &["install", "--package-lock-only"][..]),
        (Client::Pnpm, &["install", "--lockfile-only"]),
        (Client::Yarn, &["install", "--mode=update-lockfile"]),
        (Client::YarnPnp, &["install", "--mode=update-lockfile"]),
    ] {
        let name = format!("policy-locked-{client:?}").to_lowercase();
        let project = Project::asking(world, &name, json!({"y-locked": "1"}));
        client.through(world, &project, &["install"]).succeeded();
        let before = project.contents();
        client.through(world, &project, words).succeeded();
        for (path, content) in before {
            let is_of_tree = path.components().any(|part| part.as_os_str() == "node_modules");
            let now = project.contents().remove(&path);
            assert!(!is_of_tree || now == Some(content), "{client:?}: {}", path.display());
        }
        assert!(!project.has(".3pm-install"), "{client:?}");
    }
}
