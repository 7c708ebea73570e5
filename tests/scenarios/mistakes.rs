//! Projects that somebody could have written by accident: what is said of them, and where it points.

use crate::support::engines::engines;
use crate::support::host::{Host, workspace};

/// A folder of mistakes, and what the output must name: the place first.
const MISTAKES: &[(&str, &[&str])] = &[
    ("e01-indent", &["compose.yaml:5:4", "indentation"]),
    ("e01b-tab", &["compose.yaml:3:1", "tab", "spaces"]),
    ("e01c-colon", &["compose.yaml:4:14", "quotes", "'echo hello: world: x'"]),
    ("e01d-envspace", &["compose.yaml:4:3", "`environment` is a key of services"]),
    ("e02-unknown", &["compose.yaml:4:5", "comand", "`command`"]),
    ("e02b-unknown-top", &["compose.yaml:1:1", "servces", "`services`"]),
    ("e03-type", &["compose.yaml:5:7", "takes a list", "8080"]),
    ("e03b-type2", &["compose.yaml:5:9", "compose.yaml:6:17", "`- A=b`", "depends_on: [db]"]),
    ("e03c-bool", &["compose.yaml:4:10", "maybe", "tty: true"]),
    ("e03d-duration", &["compose.yaml:6:17", "interval: 5s", "compose.yaml:7:24", "ten"]),
    ("e04-cycle", &["compose.yaml:4:18", "a -> b -> c -> a"]),
    ("e04b-dep-undefined", &["compose.yaml:4:18", "databse", "`database`"]),
    ("e05b-env-required", &["compose.yaml:5:11", "DB_URL", "set it in .env"]),
    ("e11-envfile", &["compose.yaml:4:16", "prod.env", "required: false"]),
    ("e11b-envfilebad", &["prod.env:2:3", "quote"]),
    ("e12-net", &["compose.yaml:4:16", "backend", "networks: {backend: {}}"]),
    ("e12b-vol", &["compose.yaml:4:16", "data", "volumes: {data: {}}"]),
    ("e12c-secret", &["compose.yaml:4:15", "db_password", "file: ./db_password.txt"]),
    ("e13-dup", &["compose.yaml:8:21", "container_name"]),
    ("e13c-dupkey", &["compose.yaml:4:3", "twice", "`web`"]),
    ("e14-interp", &["compose.yaml:3:19", "${TAG:-1", "never closed"]),
    ("e14b-interp2", &["compose.yaml:4:24", "${1BAD}"]),
    ("e15d-empty", &["compose.yaml", "empty"]),
    ("e15e-badport", &["compose.yaml:4:14", "80800", "compose.yaml:4:26", "`http`"]),
    ("e15f-extends", &["compose.yaml:4:13", "common.yml"]),
    ("e15g-include", &["compose.yaml:1:11", "nope.yaml"]),
    (
        "e15h-multi",
        &["compose.yaml:4:5", "compose.yaml:5:5", "compose.yaml:6:10", "compose.yaml:8:12", "compose.yaml:9:16"],
    ),
    ("e15i-noimage", &["compose.yaml:2:3", "image", "build"]),
];

#[test]
fn every_recorded_mistake_is_shown_at_its_place() {
    let recorded = workspace().join("../shared/mistakes");
    if !recorded.is_dir() {
        eprintln!("skipped: no recorded mistakes beside the project");
        return;
    }
    for (name, parts) in MISTAKES {
        let host = Host::empty("mistake");
        for entry in std::fs::read_dir(recorded.join(name)).unwrap().map(|entry| entry.unwrap()) {
            host.write(&entry.file_name().to_string_lossy(), &std::fs::read_to_string(entry.path()).unwrap());
        }
        host.motet(&["config", "-q"]).failure().names(parts);
    }
}

#[test]
fn dockerfiles_named_after_their_services_are_offered_to_them() {
    let host = Host::empty("tutorial");
    host.write("compose.yaml", "services:\n  user_service:\n    build: .\n  database_service:\n    build: .\n");
    for name in ["user_service", "database_service"] {
        host.write(&format!("{name}.Dockerfile"), "FROM scratch\n");
    }
    let parts = [
        "compose.yaml:3:12",
        "compose.yaml:5:12",
        "`database_service.Dockerfile` and `user_service.Dockerfile`",
        "dockerfile: user_service.Dockerfile",
        "dockerfile: database_service.Dockerfile",
    ];
    host.motet(&["build", "--dry-run"]).failure().names(&parts);
    host.motet(&["config", "-q"]).success().names(&parts);
    if !crate::support::host::lacks_root() {
        host.motet(&["up", "-d"]).failure().names(&parts);
        host.must_be_clean();
    }
}

#[test]
fn mistakes_are_records_where_a_program_reads() {
    let host = Host::empty("records");
    host.write("compose.yaml", "services:\n  web:\n    image: a\n    comand: b\n    tty: ${TTY}\n");
    host.write(".env", "TTY=maybe\n");
    for arguments in [["--progress", "json", "config"], ["config", "--format", "json"]] {
        let outcome = host.motet(&arguments).failure();
        let records: Vec<serde_json::Value> =
            outcome.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), 2, "{records:?}");
        assert_eq!((&records[0]["code"], &records[0]["line"]), (&"E0107".into(), &4.into()));
        assert_eq!((&records[1]["code"], &records[1]["column"]), (&"E0204".into(), &10.into()));
        assert_eq!((&records[1]["related"][0]["file"], &records[1]["related"][0]["line"]), (&".env".into(), &1.into()));
    }
}

engines! {
    neither: [
        every_recorded_mistake_is_shown_at_its_place,
        dockerfiles_named_after_their_services_are_offered_to_them,
        mistakes_are_records_where_a_program_reads,
    ],
}
