//! What services, secrets and watch rules take from the environment and the file system of the project they are of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use compose::model::file_object::Content;
use compose::{FileSystem, LoadRequest, Passes, Project, Reader};

fn load(files: &[(&str, &str)], reader: Option<&dyn Reader>, folder: &str, passes: Passes) -> Project {
    let files: BTreeMap<PathBuf, String> = files.iter().map(|(path, text)| (path.into(), (*text).to_owned())).collect();
    let environment = BTreeMap::from([("TOP".to_owned(), "1".to_owned())]);
    let request = LoadRequest { working_directory: folder.into(), environment, passes, ..LoadRequest::default() };
    let loaded = compose::load(&request, reader.unwrap_or(&files));
    loaded.project.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics))
}

#[test]
fn an_included_project_sees_its_own_variables_in_services_secrets_and_configs() {
    let files = [
        ("/p/compose.yaml", "include: [sub/compose.yaml]\nservices: {a: {image: x, environment: [OWN, TOP]}}"),
        (
            "/p/sub/compose.yaml",
            "services: {b: {image: x, environment: [OWN, TOP], secrets: [s, t], configs: [c]}}\n\
             secrets: {s: {environment: OWN}, t: {environment: TOP}}\nconfigs: {c: {environment: OWN}}",
        ),
        ("/p/sub/.env", "OWN=sub"),
    ];
    let project = load(&files, None, "/p", Passes::default());
    let environment = |service: &str| project.canonical["services"][service]["environment"].to_string();
    assert_eq!(environment("a"), r#"{"OWN":null,"TOP":"1"}"#);
    assert_eq!(environment("b"), r#"{"OWN":"sub","TOP":"1"}"#);
    assert_eq!(project.secrets["s"].content, Content::Inline("sub".into()));
    assert_eq!(project.secrets["t"].content, Content::Environment("TOP".into()));
    assert_eq!(project.configs["c"].content, Content::Inline("sub".into()));
    // The text itself is not printed.
    assert_eq!(project.canonical["secrets"]["s"]["environment"], "OWN");
}

#[test]
fn variables_without_value_are_resolved_without_normalising_too() {
    let files = [("/p/compose.yaml", "services: {a: {image: x, environment: [OWN, TOP]}}")];
    let project = load(&files, None, "/p", Passes { normalize: false, ..Passes::default() });
    assert_eq!(project.canonical["services"]["a"]["environment"].to_string(), r#"{"OWN":null,"TOP":"1"}"#);
}

#[test]
fn what_is_watched_is_named_by_where_its_first_link_leads() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().canonicalize().unwrap();
    std::fs::create_dir_all(folder.join("real")).unwrap();
    std::os::unix::fs::symlink("real", folder.join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.join("dangling")).unwrap();
    let rule = |path: &str| format!("{{path: {path}, action: rebuild}}");
    let rules = ["link/x", "./link", "plain", "dangling"].map(rule).join(", ");
    std::fs::write(
        folder.join("compose.yaml"),
        format!("services: {{a: {{build: ., develop: {{watch: [{rules}]}}}}}}"),
    )
    .unwrap();
    let project = load(&[], Some(&FileSystem), folder.to_str().unwrap(), Passes::default());
    let develop = project.services["a"].develop.as_ref().unwrap();
    let paths: Vec<&str> =
        develop.watch.iter().map(|rule| rule.path.strip_prefix(folder.to_str().unwrap()).unwrap()).collect();
    assert_eq!(paths, ["/real/x", "/real", "/plain", "/dangling"]);
}

#[test]
fn hooks_have_their_image_and_say_how_often_they_run() {
    let file = "services: {a: {image: x, pre_start: [{command: [a], image: y, per_replica: true}, {command: [b]}]}}";
    let project = load(&[("/p/compose.yaml", file)], None, "/p", Passes::default());
    let hooks: Vec<(Option<&str>, bool)> =
        project.services["a"].pre_start.iter().map(|hook| (hook.image.as_deref(), hook.per_replica)).collect();
    assert_eq!(hooks, [(Some("y"), true), (None, false)]);
}

#[test]
fn a_number_in_quotes_is_none_where_nothing_casts_it_and_counts_are_not_negative() {
    for service in [
        "blkio_config: {weight: '10'}",
        "blkio_config: {weight_device: [{path: /a, weight: '3'}]}",
        "volumes: [{type: tmpfs, target: /x, tmpfs: {mode: '1777'}}]",
        "healthcheck: {retries: -1}",
    ] {
        let text = format!("services: {{a: {{image: x, {service}}}}}");
        let files = BTreeMap::from([(PathBuf::from("/p/compose.yaml"), text)]);
        let loaded = compose::load(&LoadRequest { working_directory: "/p".into(), ..LoadRequest::default() }, &files);
        assert!(loaded.project.is_none(), "{service}");
        assert!(loaded.diagnostics[0].message.contains("takes a whole number"), "{:?}", loaded.diagnostics);
    }
    let file = "services: {a: {image: x, profiles: ['']}, b: {image: x, profiles: [p]}}";
    let project = load(&[("/p/compose.yaml", file)], None, "/p", Passes::default());
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_scalar_with_a_tag_that_yaml_does_not_know_is_text() {
    let file =
        "services: {a: {image: x, hostname: !override 5}}\nx-a: [!foo true, ! 7, !override null, !foo [1], !!int 8]";
    let project = load(&[("/p/compose.yaml", file)], None, "/p", Passes::default());
    assert_eq!(project.services["a"].hostname.as_deref(), Some("5"));
    assert_eq!(project.canonical["x-a"].to_string(), r#"["true",7,"null",[1],8]"#);
}

#[test]
fn without_interpolation_what_is_empty_is_printed_as_it_stands() {
    let file = "services: {a: {image: x, command: null, pre_stop: [{command: null}], deploy: {resources: {}}}}";
    let passes = Passes { interpolate: false, normalize: false, ..Passes::default() };
    let project = load(&[("/p/compose.yaml", file)], None, "/p", passes);
    let expected = "services:\n  a:\n    command: null\n    deploy:\n      resources: {}\n    image: x\n    pre_stop:\n      - command: null\n";
    assert_eq!(compose::model::encode::to_yaml(&project), expected);
}

#[test]
fn a_name_is_printed_as_written_where_nothing_is_normalised() {
    let passes = Passes { normalize: false, ..Passes::default() };
    let file = "name: My ${TOP}\nservices: {a: {image: x}}";
    let project = load(&[("/p/compose.yaml", file)], None, "/p", passes);
    assert_eq!((project.name.as_str(), project.canonical["name"].as_str()), ("my1", Some("My 1")));
}

#[test]
fn without_interpolation_an_empty_list_is_nothing_in_json_unless_its_items_have_a_key() {
    let file = "services: {a: {image: x, command: [], cap_add: [], environment: [], ports: [], x-a: [[]]}}";
    let passes = Passes { interpolate: false, ..Passes::default() };
    let project = load(&[("/p/compose.yaml", file)], None, "/p", passes);
    let json: serde_json::Value = serde_json::from_str(&compose::model::encode::to_json(&project)).unwrap();
    let service = &json["services"]["a"];
    let values = ["command", "cap_add", "environment", "ports", "x-a"].map(|key| service[key].to_string());
    assert_eq!(values, ["null", "[]", "null", "[]", "[null]"]);
}
