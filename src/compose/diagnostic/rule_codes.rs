//! What `explain` says of the codes of the rules between values.

use crate::diagnostic::explanation::Explanation;

/// The codes of the rules between values, in order.
pub const RULE_CODES: &[Explanation] = &[
    Explanation {
        code: 501,
        text: r#"An external volume exists already, so only its name can be said."#,
        wrong: r#"services:
  web:
    image: nginx
volumes:
  data: {external: true, driver: local}"#,
        right: r#"services:
  web:
    image: nginx
volumes:
  data: {external: true}"#,
    },
    Explanation {
        code: 502,
        text: r#"A config or secret has one source of its content, and this has two."#,
        wrong: r#"services:
  web:
    image: nginx
secrets:
  key: {file: ./a, environment: A}"#,
        right: r#"services:
  web:
    image: nginx
secrets:
  key: {file: ./a}"#,
    },
    Explanation {
        code: 503,
        text: r#"A config or secret says where its content comes from: a file, a variable, or that it is external."#,
        wrong: r#"services:
  web:
    image: nginx
secrets:
  key: {name: a}"#,
        right: r#"services:
  web:
    image: nginx
secrets:
  key: {file: ./a}"#,
    },
    Explanation {
        code: 504,
        text: r#"`host_ip` is an IP address of this host."#,
        wrong: r#"services:
  web:
    image: nginx
    ports:
      - {target: 80, host_ip: here}"#,
        right: r#"services:
  web:
    image: nginx
    ports:
      - {target: 80, host_ip: 127.0.0.1}"#,
    },
    Explanation {
        code: 505,
        text: r#"A bind mount names what it mounts: `source`, a path on the host."#,
        wrong: r#"services:
  web:
    image: nginx
    volumes:
      - {type: bind, target: /a}"#,
        right: r#"services:
  web:
    image: nginx
    volumes:
      - {type: bind, source: ./a, target: /a}"#,
    },
    Explanation {
        code: 506,
        text: r#"A watch rule names the path that it watches."#,
        wrong: r#"services:
  web:
    image: nginx
    develop:
      watch:
        - {path: "", action: rebuild}"#,
        right: r#"services:
  web:
    image: nginx
    develop:
      watch:
        - {path: ./a, action: rebuild}"#,
    },
    Explanation {
        code: 507,
        text: r#"A request for devices says how many (`count`) or which (`device_ids`), not both."#,
        wrong: r#"services:
  web:
    image: nginx
    gpus:
      - {count: 1, device_ids: ["0"]}"#,
        right: r#"services:
  web:
    image: nginx
    gpus:
      - {count: 1}"#,
    },
    Explanation {
        code: 508,
        text: r#"`format` of an env file is `raw`, or is left out."#,
        wrong: r#"services:
  web:
    image: nginx
    env_file:
      - {path: a.env, format: json}
#@ a.env
A=1"#,
        right: r#"services:
  web:
    image: nginx
    env_file:
      - {path: a.env, format: raw}
#@ a.env
A=1"#,
    },
    Explanation {
        code: 509,
        text: r#"A file that `env_file` or `label_file` of a service names cannot be read."#,
        wrong: r#"services:
  web:
    image: nginx
    env_file: none.env"#,
        right: r#"services:
  web:
    image: nginx
    env_file: a.env
#@ a.env
A=1"#,
    },
    Explanation {
        code: 510,
        text: r#"A service runs an image: one that is named, or one that is built."#,
        wrong: r#"services:
  web:
    tty: true"#,
        right: r#"services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 511,
        text: r#"A Dockerfile is a file or a text in the Compose file, not both."#,
        wrong: r#"services:
  web:
    image: nginx
    build: {context: ., dockerfile: a, dockerfile_inline: FROM a}"#,
        right: r#"services:
  web:
    image: nginx
    build: {context: ., dockerfile: a}"#,
    },
    Explanation {
        code: 512,
        text: r#"The platform that the service runs on is not among those that it is built for."#,
        wrong: r#"services:
  web:
    image: nginx
    platform: linux/arm64
    build: {context: ., platforms: [linux/amd64]}"#,
        right: r#"services:
  web:
    image: nginx
    platform: linux/amd64
    build: {context: ., platforms: [linux/amd64]}"#,
    },
    Explanation {
        code: 513,
        text: r#"A service joins networks or shares another's (`network_mode`), not both."#,
        wrong: r#"services:
  web:
    image: nginx
    network_mode: host
    networks: [default]"#,
        right: r#"services:
  web:
    image: nginx
    network_mode: host"#,
    },
    Explanation {
        code: 514,
        text: r#"A health test in a list begins with CMD, CMD-SHELL or NONE."#,
        wrong: r#"services:
  web:
    image: nginx
    healthcheck: {test: [curl, localhost]}"#,
        right: r#"services:
  web:
    image: nginx
    healthcheck: {test: [CMD, curl, localhost]}"#,
    },
    Explanation {
        code: 515,
        text: r#"`scale` and `deploy.replicas` say the same thing and must agree."#,
        wrong: r#"services:
  web:
    image: nginx
    scale: 2
    deploy: {replicas: 3}"#,
        right: r#"services:
  web:
    image: nginx
    scale: 2"#,
    },
    Explanation {
        code: 516,
        text: r#"A service runs no fewer than 0 times."#,
        wrong: r#"services:
  web:
    image: nginx
    scale: -1"#,
        right: r#"services:
  web:
    image: nginx
    scale: 0"#,
    },
    Explanation {
        code: 517,
        text: r#"With `container_name` there can be one container, and the service wants more."#,
        wrong: r#"services:
  web:
    image: nginx
    container_name: web1
    scale: 2"#,
        right: r#"services:
  web:
    image: nginx
    scale: 2"#,
    },
    Explanation {
        code: 518,
        text: r#"A limit stands in its old place and in `deploy.resources`, with different values."#,
        wrong: r#"services:
  web:
    image: nginx
    mem_limit: 1g
    deploy: {resources: {limits: {memory: 2g}}}"#,
        right: r#"services:
  web:
    image: nginx
    mem_limit: 1g"#,
    },
    Explanation {
        code: 519,
        text: r#"Two things are mounted on one path of the container, and the second would hide the first."#,
        wrong: r#"services:
  web:
    image: nginx
    volumes: ["./a:/a"]
    tmpfs: [/a]"#,
        right: r#"services:
  web:
    image: nginx
    volumes: ["./a:/a"]
    tmpfs: [/b]"#,
    },
    Explanation {
        code: 520,
        text: r#"A watch rule that copies says where the files go in the container: `target`."#,
        wrong: r#"services:
  web:
    image: nginx
    develop:
      watch:
        - {path: ./a, action: sync}"#,
        right: r#"services:
  web:
    image: nginx
    develop:
      watch:
        - {path: ./a, action: sync, target: /a}"#,
    },
    Explanation {
        code: 521,
        text: r#"Two services want the same name for their containers. Without `container_name` they are named after the project and the service."#,
        wrong: r#"services:
  a: {image: a, container_name: same}
  b: {image: b, container_name: same}"#,
        right: r#"services:
  a: {image: a}
  b: {image: b}"#,
    },
    Explanation {
        code: 530,
        text: r#"A service uses a network, volume, secret, config or model that the file does not define at its top level."#,
        wrong: r#"services:
  web:
    image: nginx
    networks: [backend]"#,
        right: r#"services:
  web:
    image: nginx
    networks: [backend]
networks: {backend: {}}"#,
    },
    Explanation {
        code: 531,
        text: r#"A service refers to another that is not there, or that no active profile enables."#,
        wrong: r#"services:
  web:
    image: nginx
    depends_on: [databse]"#,
        right: r#"services:
  web:
    image: nginx
    depends_on: [database]
  database: {image: postgres}"#,
    },
    Explanation {
        code: 532,
        text: r#"An additional context names a service that is not built itself, so there is no image to build with."#,
        wrong: r#"services:
  web:
    image: nginx
    build: {context: ., additional_contexts: {base: "service:base"}}
  base: {image: a}"#,
        right: r#"services:
  web:
    image: nginx
    build: {context: ., additional_contexts: {base: "service:base"}}
  base: {build: ./base}"#,
    },
    Explanation {
        code: 540,
        text: r#"Services wait for each other in a circle, so none could start first. Drop one of the dependencies."#,
        wrong: r#"services:
  a: {image: a, depends_on: [b]}
  b: {image: b, depends_on: [a]}"#,
        right: r#"services:
  a: {image: a, depends_on: [b]}
  b: {image: b}"#,
    },
    Explanation {
        code: 550,
        text: r#"A service that was named on the command line belongs to profiles of which none is active."#,
        wrong: r#""#,
        right: "",
    },
    Explanation {
        code: 551,
        text: r#"A service that was named on the command line is not in the file."#,
        wrong: r#""#,
        right: "",
    },
    Explanation {
        code: 560,
        text: r#"The build context holds no file of the name that is looked for (`Dockerfile` unless `dockerfile:` says
another), though it holds one that may be meant: `context:` with `dockerfile:` names it."#,
        wrong: r#""#,
        right: "",
    },
];
