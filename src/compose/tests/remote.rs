//! Remote Compose files: fetched through the reader, from every place that can name one, or refused with help.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compose::{LoadRequest, Loaded, ReadError, Reader};

/// Files in memory, and where references lead.
#[derive(Default)]
struct Net {
    files: BTreeMap<PathBuf, String>,
    known: BTreeMap<String, PathBuf>,
}

impl Net {
    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.to_owned());
        self
    }

    fn known(mut self, reference: &str, path: &str) -> Self {
        self.known.insert(reference.to_owned(), path.into());
        self
    }

    fn load(&self, files: &[&str], variables: &[(&str, &str)]) -> Loaded {
        let request = LoadRequest {
            files: files.iter().map(PathBuf::from).collect(),
            working_directory: "/p".into(),
            environment: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..LoadRequest::default()
        };
        compose::load(&request, self)
    }
}

impl Reader for Net {
    fn read(&self, path: &Path) -> Result<String, ReadError> {
        self.files.get(path).cloned().ok_or(ReadError::NotFound)
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    fn fetch(&self, reference: &str) -> Result<PathBuf, ReadError> {
        self.known.get(reference).cloned().ok_or_else(|| ReadError::Refused("say please".into()))
    }
}

const WEB: &str = "services: {web: {image: nginx, env_file: web.env}}";

fn image(loaded: &Loaded) -> String {
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    loaded.project.as_ref().unwrap().canonical["services"]["web"]["environment"]["A"].as_str().unwrap().to_owned()
}

#[test]
fn a_remote_file_is_read_where_it_was_fetched_to_and_its_paths_start_there() {
    let net = Net::default()
        .file("/cache/shop/compose.yaml", WEB)
        .file("/cache/shop/web.env", "A=fetched")
        .file("/p/compose.yaml", "include: ['oci://registry/shop:1']")
        .file("/p/list.yaml", "include: [{path: ['git@host:team/shop.git#v1']}]")
        .file("/p/extends.yaml", "services: {web: {extends: {service: web, file: github.com/team/shop#v1}}}")
        .known("https://host/shop.git#v1", "/cache/shop/compose.yaml")
        .known("oci://registry/shop:1", "/cache/shop/compose.yaml")
        .known("git@host:team/shop.git#v1", "/cache/shop")
        .known("github.com/team/shop#v1", "/cache/shop/compose.yaml");
    for file in ["https://host/shop.git#v1", "/p/compose.yaml", "/p/list.yaml", "/p/extends.yaml"] {
        assert_eq!(image(&net.load(&[file], &[])), "fetched", "{file}");
    }
    let listed = [("COMPOSE_FILE", "https://host/shop.git#v1"), ("COMPOSE_PATH_SEPARATOR", ",")];
    assert_eq!(image(&net.load(&[], &listed)), "fetched");
    let project = net.load(&["https://host/shop.git#v1"], &[]).project.unwrap();
    assert_eq!((project.name.as_str(), project.directory.as_path()), ("shop", Path::new("/cache/shop")));
}

#[test]
fn a_remote_file_is_refused_with_the_readers_help_at_the_place_that_names_it() {
    let net = Net::default()
        .file("/p/compose.yaml", "include: ['oci://registry/shop:1']")
        .file("/p/extends.yaml", "services: {web: {extends: {service: web, file: github.com/team/shop#v1}}}");
    for (file, text) in [
        ("/p/compose.yaml", Some("'oci://registry/shop:1'")),
        ("/p/extends.yaml", Some("github.com/team/shop#v1")),
        ("oci://registry/shop:1", None),
    ] {
        let loaded = net.load(&[file], &[]);
        let [diagnostic] = loaded.diagnostics.as_slice() else { panic!("{:?}", loaded.diagnostics) };
        assert_eq!(diagnostic.code.0, 9);
        assert!(diagnostic.message.ends_with("remote files are not fetched unless that is allowed"));
        assert_eq!(diagnostic.help, ["say please"]);
        let named = diagnostic.span.map(|span| {
            let source = &loaded.sources.get(span.file).unwrap().text;
            &source[span.start as usize..span.end as usize]
        });
        assert_eq!(named, text);
    }
}
