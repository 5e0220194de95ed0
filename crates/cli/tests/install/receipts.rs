//! What was installed, looked up again after it was taken back.

use serde_json::{Value, json};

use crate::harness::world::World;
use crate::ledger::{Ledger, TEAM};
use crate::project::Project;
use crate::shelf::stock;
use crate::sieges::signed;

#[test]
fn a_later_revocation_finds_who_has_it() {
    let world = World::shared();
    let ledger = Ledger::of(world);
    let names = ["rcpt-revoked", "rcpt-flagged", "rcpt-fine"];
    for name in names {
        signed(world, name);
        ledger.knows(name, TEAM.members);
    }
    stock(world, "rcpt-unsigned", "1.0.0", "1");
    // A home of its own, so that no other test's receipts are in it.
    let project = |name: &str, asks: Value| {
        let mut project = Project::asking(world, name, asks);
        let home = world.new_folder("rcpt-home");
        for file in std::fs::read_dir(project.user.home()).expect("a home").flatten() {
            if file.file_type().is_ok_and(|kind| kind.is_file()) {
                std::fs::copy(file.path(), home.join(file.file_name())).expect("a copy");
            }
        }
        project.user = project.user.with("THREEPM_HOME", home.display().to_string());
        project
    };
    let first = project("rcpt-first", json!({"rcpt-revoked": "1", "rcpt-fine": "1", "rcpt-unsigned": "1"}));
    first.user.threepm(["receipts"]).succeeded().says(&["0 packages of 0 projects"]);
    first.install(&[]).succeeded();
    let second = Project { user: first.user.clone().at(&second_root(world)), root: second_root(world) };
    second.write("package.json", &json!({"dependencies": {"rcpt-flagged": "1"}}).to_string());
    second.install(&[]).succeeded();
    let report = first.user.threepm(["receipts", "--json"]).succeeded().json();
    assert_eq!(
        (&report["projects"], &report["packages"], &report["found"]),
        (&json!(2), &json!(4), &json!([]))
    );

    ledger.flag("rcpt-flagged", "1.0.0", "alice");
    let report = first.user.threepm(["receipts", "--json"]).ended_with(10).json();
    assert_eq!(report["found"].as_array().map(Vec::len), Some(1));
    ledger.revoke("rcpt-revoked", "1.0.0", &["alice", "bob"]);
    let report = first.user.threepm(["receipts", "--json"]).ended_with(41).json();
    let found: Vec<(&Value, &Value)> = report["found"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|found| (&found["name"], &found["now"]))
        .collect();
    let (revoked, flagged) =
        ((json!("rcpt-revoked"), json!("Revoked")), (json!("rcpt-flagged"), json!("Flagged")));
    assert_eq!(found, [(&revoked.0, &revoked.1), (&flagged.0, &flagged.1)]);
    first
        .user
        .threepm(["receipts", "."])
        .ended_with(41)
        .says(&["Revoked: rcpt-revoked@1.0.0", "Verified then"]);
    second.user.threepm(["receipts", "."]).ended_with(10);

    std::fs::remove_dir_all(&first.root).expect("removed");
    let report = second.user.threepm(["receipts", "--json"]).ended_with(10).json();
    assert_eq!((report["projects"].as_u64(), report["gone"].as_array().map(Vec::len)), (Some(1), Some(1)));
}

fn second_root(world: &World) -> std::path::PathBuf {
    world.new_folder("projects/rcpt-second")
}
