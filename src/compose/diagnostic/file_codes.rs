//! What `explain` says of the codes of files, YAML and interpolation.

use crate::diagnostic::explanation::Explanation;

/// The codes of files, YAML and interpolation, in order.
pub const FILE_CODES: &[Explanation] = &[
    Explanation {
        code: 1,
        text: r#"There is no Compose file in the folder that the command was called in, nor in a folder above it. The names that are looked for are compose.yaml, compose.yml, docker-compose.yml and docker-compose.yaml. Another name is given with -f FILE."#,
        wrong: r#""#,
        right: "",
    },
    Explanation {
        code: 2,
        text: r#"A folder has more than one of the names that are looked for. The first one is used: compose.yaml before compose.yml before docker-compose.yml before docker-compose.yaml. Remove the others or choose with -f."#,
        wrong: r#""#,
        right: "",
    },
    Explanation {
        code: 3,
        text: r#"COMPOSE_FILE names a file that is not there. The names in it are separated by `:` (or by COMPOSE_PATH_SEPARATOR) and start from the folder that the command was called in."#,
        wrong: r#""#,
        right: "",
    },
    Explanation {
        code: 4,
        text: r#"A file of variables that was named (--env-file, COMPOSE_ENV_FILES, `.env`, or `env_file` of an include) cannot be read."#,
        wrong: r#"include:
  - path: a.yaml
    env_file: none.env
#@ a.yaml
services:
  web:
    image: nginx"#,
        right: r#"include:
  - a.yaml
#@ a.yaml
services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 5,
        text: r#"A file of variables is not understood. A line is NAME=value; values with spaces or line breaks stand in quotes, and a quote that opens must close."#,
        wrong: r#"services:
  web:
    image: nginx
    env_file: web.env
#@ web.env
A="open"#,
        right: r#"services:
  web:
    image: nginx
    env_file: web.env
#@ web.env
A="closed""#,
    },
    Explanation {
        code: 6,
        text: r#"A Compose file that was named, by -f, by `include` or by `extends`, cannot be read: it is not there, it is a folder, a pipe or a device, it may not be read, or it is not text."#,
        wrong: r#"include: [none.yaml]
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
        code: 7,
        text: r#"The name given with --project-name or COMPOSE_PROJECT_NAME cannot be a project's name: lower-case letters, digits, `-` and `_`, beginning with a letter or digit."#,
        wrong: r#""#,
        right: "",
    },
    Explanation {
        code: 8,
        text: r#"Neither the file's `name:` nor the folder's name has a character that can stand in a project's name."#,
        wrong: r#"name: "++"
services:
  web:
    image: nginx"#,
        right: r#"name: shop
services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 9,
        text: r#"A Compose file that was named, by -f, by `include` or by `extends`, lies in a git repository or a registry (https://, git@, github.com/, oci://) and could not be fetched. Nothing is fetched unless --allow-remote is given or COMPOSE_EXPERIMENTAL_GIT_REMOTE is true, since a file from elsewhere decides what runs on this machine."#,
        wrong: r#"include: ["https://example.com/shop.git#main:compose.yaml"]
services:
  web:
    image: nginx"#,
        right: r#"include: [shop/compose.yaml]
services:
  web:
    image: nginx
#@ shop/compose.yaml
services:
  shop:
    image: nginx"#,
    },
    Explanation {
        code: 100,
        text: r#"The text is not YAML at this place. Values that begin with @, `, % or another sign of YAML's own need quotes."#,
        wrong: r#"services:
  web:
    image: nginx
    hostname: @web"#,
        right: r#"services:
  web:
    image: nginx
    hostname: '@web'"#,
    },
    Explanation {
        code: 101,
        text: r#"YAML is indented with spaces; a tab is no indentation."#,
        wrong: r#"services:
	web:
		image: nginx"#,
        right: r#"services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 102,
        text: r#"The keys of one mapping stand in one column. This line stands in a column that no line above it opened."#,
        wrong: r#"services:
  web:
      image: nginx
     tty: true"#,
        right: r#"services:
  web:
    image: nginx
    tty: true"#,
    },
    Explanation {
        code: 103,
        text: r#"A `: ` begins a value, so a value that holds one itself needs quotes."#,
        wrong: r#"services:
  web:
    image: nginx
    command: echo hello: world"#,
        right: r#"services:
  web:
    image: nginx
    command: 'echo hello: world'"#,
    },
    Explanation {
        code: 104,
        text: r#"A quote opens and the file ends before it closes."#,
        wrong: r#"services:
  web:
    image: nginx
    command: "echo"#,
        right: r#"services:
  web:
    image: nginx
    command: "echo""#,
    },
    Explanation {
        code: 105,
        text: r#"A `[` or `{` opens and is never closed."#,
        wrong: r#"services:
  web:
    image: nginx
    command: [echo, hello"#,
        right: r#"services:
  web:
    image: nginx
    command: [echo, hello]"#,
    },
    Explanation {
        code: 106,
        text: r#"`*name` repeats what `&name` marked above, in the same document. Nothing above is marked with this name."#,
        wrong: r#"services:
  web:
    image: nginx
    labels: *none"#,
        right: r#"x-labels: &none {a: b}
services:
  web:
    image: nginx
    labels: *none"#,
    },
    Explanation {
        code: 107,
        text: r#"Compose does not know this key at this place: it is misspelt, stands at the wrong depth, or belongs elsewhere. Keys of your own begin with `x-`."#,
        wrong: r#"services:
  web:
    image: nginx
    comand: sleep 100"#,
        right: r#"services:
  web:
    image: nginx
    command: sleep 100"#,
    },
    Explanation { code: 108, text: r#"A file is nested at most 256 deep."#, wrong: "", right: "" },
    Explanation {
        code: 109,
        text: r#"A control character stands in the file. YAML is text: in double quotes such a character is written \x07."#,
        wrong: "services:\n  web:\n    image: nginx\n    command: a\u{1}b",
        right: r#"services:
  web:
    image: nginx
    command: "a\x01b""#,
    },
    Explanation { code: 110, text: r#"The file ends where a value was still expected."#, wrong: r#""#, right: "" },
    Explanation {
        code: 111,
        text: r#"A key stands twice in one mapping, and only one of the two values could be kept."#,
        wrong: r#"services:
  web:
    image: nginx
    image: redis"#,
        right: r#"services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 112,
        text: r#"Aliases repeat what they stand for. A file whose aliases unfold into more than 500000 values is refused, since its size would take all memory."#,
        wrong: "",
        right: "",
    },
    Explanation {
        code: 113,
        text: r#"An anchor is used inside of the value that it marks, so that the value would have no end."#,
        wrong: r#"x-a: &a [*a]
services:
  web:
    image: nginx"#,
        right: r#"x-a: &a [1]
x-b: [*a]
services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 114,
        text: r#"A tag such as !!int demands a kind of value, and this value is none of that kind."#,
        wrong: r#"services:
  web:
    image: nginx
    cpu_count: !!int many"#,
        right: r#"services:
  web:
    image: nginx
    cpu_count: !!int 2"#,
    },
    Explanation {
        code: 115,
        text: r#"`<<` puts the keys of another mapping here. It takes one mapping or a list of them."#,
        wrong: r#"services:
  web:
    image: nginx
    <<: text"#,
        right: r#"x-base: &base {tty: true}
services:
  web:
    image: nginx
    <<: *base"#,
    },
    Explanation {
        code: 116,
        text: r#"The keys of a Compose file are strings. Numbers and words such as `true` are others unless they stand in quotes."#,
        wrong: r#"services:
  web:
    image: nginx
    labels:
      1: one"#,
        right: r#"services:
  web:
    image: nginx
    labels:
      "1": one"#,
    },
    Explanation {
        code: 117,
        text: r#"A Compose file is a mapping: names followed by colons, with `services` among them."#,
        wrong: r#"- web"#,
        right: r#"services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 118,
        text: r#"`version` chose between old forms of the file. There is one form now, and the line says nothing."#,
        wrong: r#"version: "3"
services:
  web:
    image: nginx"#,
        right: r#"services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 119,
        text: r#"The file says nothing."#,
        wrong: r#"{}"#,
        right: r#"services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 120,
        text: r#"This place takes one of a few words."#,
        wrong: r#"services:
  web:
    image: nginx
    cgroup: publik"#,
        right: r#"services:
  web:
    image: nginx
    cgroup: private"#,
    },
    Explanation {
        code: 121,
        text: r#"A list that holds each item once holds one twice."#,
        wrong: r#"services:
  web:
    image: nginx
    security_opt: [a, a]"#,
        right: r#"services:
  web:
    image: nginx
    security_opt: [a]"#,
    },
    Explanation {
        code: 122,
        text: r#"Names of services, volumes and the like are letters, digits, `.`, `_` and `-`."#,
        wrong: r#"services:
  my web:
    image: nginx"#,
        right: r#"services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 123,
        text: r#"A mapping lacks a key that it cannot do without."#,
        wrong: r#"services:
  web:
    image: nginx
    devices:
      - target: /dev/a"#,
        right: r#"services:
  web:
    image: nginx
    devices:
      - source: /dev/a
        target: /dev/b"#,
    },
    Explanation {
        code: 124,
        text: r#"The value is of another kind than this place takes: a mapping for a list, a number for a string."#,
        wrong: r#"services:
  web:
    image: nginx
    ports: {http: 8080}"#,
        right: r#"services:
  web:
    image: nginx
    ports: ["8080:8080"]"#,
    },
    Explanation {
        code: 125,
        text: r#"A key ends with a `:`, and its value begins behind a space or on the next line."#,
        wrong: r#"services:
  web
    image: nginx"#,
        right: r#"services:
  web:
    image: nginx"#,
    },
    Explanation {
        code: 126,
        text: r#"In double quotes a `\` begins an escape, such as \n, \t, \x07 or \u2013. Anything else behind it is a mistake: paths and patterns with backslashes go in single quotes."#,
        wrong: r#"services:
  web:
    image: nginx
    working_dir: "C:\Users""#,
        right: r#"services:
  web:
    image: nginx
    working_dir: 'C:\Users'"#,
    },
    Explanation {
        code: 127,
        text: r#"A value in quotes or brackets ends where they close, and something stands behind it."#,
        wrong: r#"services:
  web:
    image: nginx
    environment:
      SAY: 'it's fine'"#,
        right: r#"services:
  web:
    image: nginx
    environment:
      SAY: "it's fine""#,
    },
    Explanation {
        code: 128,
        text: r#"Items of a list (`- a`) and keys (`a: b`) stand in one column. A value is one or the other."#,
        wrong: r#"services:
  web:
    image: nginx
    environment:
      - DEBUG=1
      LEVEL: info"#,
        right: r#"services:
  web:
    image: nginx
    environment:
      - DEBUG=1
      - LEVEL=info"#,
    },
    Explanation {
        code: 201,
        text: r#"What follows a `$` is no reference to a variable. There are ${NAME}, ${NAME:-default}, ${NAME:?reason} and ${NAME:+alternative}; a plain dollar sign is $$."#,
        wrong: r#"services:
  web:
    image: nginx
    hostname: ${TAG:-1"#,
        right: r#"services:
  web:
    image: nginx
    hostname: ${TAG:-1}"#,
    },
    Explanation {
        code: 202,
        text: r#"The file demands a variable with ${NAME:?reason}, and it is not set in the environment nor in a file of variables."#,
        wrong: r#"services:
  web:
    image: nginx
    hostname: ${DB_URL:?set it}"#,
        right: r#"services:
  web:
    image: nginx
    hostname: ${DB_URL:?set it}
#@ .env
DB_URL=db"#,
    },
    Explanation {
        code: 203,
        text: r#"A variable has no value, so nothing stands in its place. Give it a default, ${NAME:-value}, or demand it, ${NAME:?reason}."#,
        wrong: r#"services:
  web:
    image: nginx
    hostname: a${TAG}"#,
        right: r#"services:
  web:
    image: nginx
    hostname: a${TAG:-1}"#,
    },
    Explanation {
        code: 204,
        text: r#"The place takes a number or a boolean, and the text that stands there, after references were replaced, is none."#,
        wrong: r#"services:
  web:
    image: nginx
    tty: maybe"#,
        right: r#"services:
  web:
    image: nginx
    tty: "true""#,
    },
    Explanation {
        code: 205,
        text: r#"References stand in the words of references at most 64 deep."#,
        wrong: "",
        right: "",
    },
];
