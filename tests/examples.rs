//! The examples, as a newcomer runs them.

use crate::support::host::{Host, http, lacks_root, until, workspace};

/// Copies a folder of the repository, so that a run leaves nothing in it.
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn every_example_loads_without_a_complaint() {
    for entry in std::fs::read_dir(workspace().join("examples")).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("main.rs").exists() {
            // A program over the runtime crate.
            continue;
        }
        let host = Host::empty("loaded");
        let outcome = host.motet(&["--project-directory", folder.to_str().unwrap(), "config"]).success();
        assert!(outcome.stdout.contains("services:"), "{}", outcome.stdout);
    }
}

/// One user through HTTP, kept over `down` and `up`, forgotten by `down -v`. On its own ports, so that it runs
/// beside whatever holds 5000 and 5001.
#[test]
fn the_flask_example_comes_up_keeps_its_users_and_forgets_them() {
    if lacks_root() {
        return;
    }
    let host = Host::empty("flask");
    copy(&workspace().join("examples/flask"), &host.folder);
    let file = std::fs::read_to_string(host.folder.join("compose.yaml")).unwrap();
    assert!(file.starts_with("version: '3'"), "the example keeps the old first line that people have");
    let (users, database) = (crate::support::host::free_port(), crate::support::host::free_port());
    let file = file.replace("5000:5000", &format!("{users}:5000")).replace("5001:5001", &format!("{database}:5001"));
    std::fs::write(host.folder.join("compose.yaml"), file).unwrap();

    let address = format!("127.0.0.1:{users}");
    let post = |body: &str| {
        let head =
            format!("POST /user HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        http(&address, &format!("{head}{body}"))
    };
    let list = || http(&address, "GET /user HTTP/1.0\r\n\r\n");

    host.motet_patiently(&["up", "-d", "--wait"]).success();
    let answer = post("{\"name\":\"Ada\"}").unwrap();
    assert!(answer.contains("用户创建成功") && answer.contains("用户数据保存成功"), "{answer}");
    assert!(list().unwrap().contains("Ada"));

    host.motet(&["down"]).success();
    host.must_be_clean();
    host.motet(&["up", "-d", "--wait"]).success();
    until("the service answers", || list().is_some());
    assert!(list().unwrap().contains("Ada"), "down and up keep the user");

    host.motet(&["down", "-v"]).success();
    host.motet(&["up", "-d", "--wait"]).success();
    assert!(!list().unwrap().contains("Ada"), "down -v forgets the user");
    host.motet(&["down", "-v"]).success();
    host.must_be_clean();
}
