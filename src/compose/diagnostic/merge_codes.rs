//! What `explain` says of the codes of files that are laid together, and of short forms.

use crate::diagnostic::explanation::Explanation;

/// The codes of files that are laid together, and of short forms, in order.
pub const MERGE_CODES: &[Explanation] = &[
    Explanation {
        code: 301,
        text: r#"Two files, or a service and what it extends, say different kinds of value at one place, so they cannot be laid over each other."#,
        wrong: r#"services:
  a:
    image: a
    logging: {options: {a: b}}
  b:
    extends: {service: a}
    logging: text"#,
        right: r#"services:
  a:
    image: a
    logging: {options: {a: b}}
  b:
    extends: {service: a}
    logging: {driver: none}"#,
    },
    Explanation {
        code: 302,
        text: r#"Items of this list are told apart by a key, such as the target of a mount, and this item has none."#,
        wrong: r#"services:
  web:
    image: nginx
    volumes:
      - type: bind
        source: ./a"#,
        right: r#"services:
  web:
    image: nginx
    volumes:
      - type: bind
        source: ./a
        target: /a"#,
    },
    Explanation {
        code: 303,
        text: r#"`services` is a mapping of names to services."#,
        wrong: r#"services: [web]"#,
        right: r#"services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 304,
        text: r#"`extends` names the service that is extended."#,
        wrong: r#"services:
  web:
    image: nginx
    extends: {file: a.yaml}"#,
        right: r#"services:
  web:
    extends: {service: base}
  base: {image: nginx}"#,
    },
    Explanation {
        code: 305,
        text: r#"`extends` names a service that its file does not have."#,
        wrong: r#"services:
  web:
    image: nginx
    extends: {service: none}"#,
        right: r#"services:
  web:
    extends: {service: base}
  base: {image: nginx}"#,
    },
    Explanation {
        code: 306,
        text: r#"Services extend each other in a circle, so none of them has a beginning."#,
        wrong: r#"services:
  a: {extends: {service: b}}
  b: {extends: {service: a}}"#,
        right: r#"services:
  a: {extends: {service: b}}
  b: {image: nginx}"#,
    },
    Explanation {
        code: 307,
        text: r#"The file that is extended from has no services."#,
        wrong: r#"services:
  web:
    image: nginx
    extends: {file: a.yaml, service: b}
#@ a.yaml
volumes: {}"#,
        right: r#"services:
  web:
    image: nginx
    extends: {file: a.yaml, service: b}
#@ a.yaml
services: {b: {image: a}}"#,
    },
    Explanation {
        code: 308,
        text: r#"`include` takes a list of files."#,
        wrong: r#"include: a.yaml
services:
  web:
    image: nginx"#,
        right: r#"include: [a.yaml]
#@ a.yaml
services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 309,
        text: r#"An item of `include` has a `path`, one file or several."#,
        wrong: r#"include:
  - path: []
services:
  web:
    image: nginx"#,
        right: r#"include:
  - path: [a.yaml]
#@ a.yaml
services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 310,
        text: r#"Files include each other in a circle."#,
        wrong: r#"include: [a.yaml]
#@ a.yaml
include: [a.yaml]
services:
  web:
    image: nginx"#,
        right: r#"include: [a.yaml]
#@ a.yaml
services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 311,
        text: r#"A name is defined here and, differently, in a file that is included. To change what is included, list an override file behind it: `path: [a.yaml, override.yaml]`."#,
        wrong: r#"include: [a.yaml]
services:
  web:
    image: nginx
#@ a.yaml
services: {web: {image: redis}}"#,
        right: r#"include: [a.yaml]
services:
  web:
    image: nginx
#@ a.yaml
services: {cache: {image: redis}}"#,
    },
    Explanation { code: 312, text: r#"Services extend each other at most 100 in a row."#, wrong: "", right: "" },
    Explanation {
        code: 313,
        text: r#"A project includes at most 1000 files, each time counted, and at most 50 deep."#,
        wrong: "",
        right: "",
    },
    Explanation {
        code: 401,
        text: r#"A short form, such as that of a port or a mount, is not understood. A port is [[address:]host:]container[/protocol]."#,
        wrong: r#"services:
  web:
    image: nginx
    ports: ["80800:80"]"#,
        right: r#"services:
  web:
    image: nginx
    ports: ["8080:80"]"#,
    },
    Explanation {
        code: 402,
        text: r#"`external.name` is an old form: `name` stands beside `external: true` now."#,
        wrong: r#"services:
  web:
    image: nginx
volumes:
  data:
    external: {name: old}"#,
        right: r#"services:
  web:
    image: nginx
volumes:
  data:
    external: true
    name: old"#,
    },
    Explanation {
        code: 403,
        text: r#"What is external has two names."#,
        wrong: r#"services:
  web:
    image: nginx
volumes:
  data:
    external: {name: old}
    name: new"#,
        right: r#"services:
  web:
    image: nginx
volumes:
  data:
    external: true
    name: new"#,
    },
    Explanation {
        code: 404,
        text: r#"A value, such as a duration or a size, is not understood in its final form. A duration is 1h30m or 500ms, a size 512m or 1gb."#,
        wrong: r#"services:
  web:
    image: nginx
    stop_grace_period: soon"#,
        right: r#"services:
  web:
    image: nginx
    stop_grace_period: 5s"#,
    },
];
