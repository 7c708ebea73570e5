//! The schema of a Compose file: top level, services, and the resources they share.

use crate::check::build_attributes::{
    BUILD, COMMAND, DEPLOY, DEVELOP, EXTRA_HOSTS, FILE_MOUNTS, GPUS, HOOK, MOUNTS, PORTS, ULIMITS,
};
use crate::check::shape::{
    BOOLEAN, FLAG, INTEGER, INTEGER_OR_TEXT, Keys, LIST_OR_DICT, NULL, NUMBER, NUMBER_OR_TEXT, OPTIONS, Object, STRING,
    Shape, TEXT, TEXT_OR_LIST, TEXTS, UNIQUE_TEXTS,
};

const NOTHING: Shape = Shape::Is(NULL);

/// The whole file.
pub const FILE: Object = Object::new(
    "file",
    &[
        ("version", TEXT),
        ("name", TEXT),
        ("include", Shape::Either(&[NOTHING, Shape::List(&Shape::Either(&[TEXT, Shape::Object(&INCLUDE)]))])),
        ("services", Shape::Map(Keys::Names, &Shape::Object(&SERVICE))),
        ("models", Shape::Map(Keys::LooseNames, &Shape::Object(&MODEL))),
        ("networks", Shape::Map(Keys::LooseNames, &Shape::Either(&[NOTHING, Shape::Object(&NETWORK)]))),
        ("volumes", Shape::Map(Keys::Names, &Shape::Either(&[NOTHING, Shape::Object(&VOLUME)]))),
        ("secrets", Shape::Map(Keys::Names, &Shape::Object(&SECRET))),
        ("configs", Shape::Map(Keys::Names, &Shape::Object(&CONFIG))),
    ],
);

const INCLUDE: Object =
    Object::new("include", &[("path", TEXT_OR_LIST), ("env_file", TEXT_OR_LIST), ("project_directory", TEXT)]);

const BLKIO_LIMITS: Shape =
    Shape::List(&Shape::Object(&Object::new("limit", &[("path", TEXT), ("rate", INTEGER_OR_TEXT)]).closed()));

fn is_container_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    text.as_bytes().windows(2).any(|pair| pair[0].is_ascii_alphanumeric() && inner(pair[1]))
}

fn is_pull_policy(text: &str) -> bool {
    const WORDS: [&str; 8] = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let every = || {
        text.split("every_").nth(1).is_some_and(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            digits > 0 && rest[digits..].starts_with(['w', 'd', 'h', 'm', 's'])
        })
    };
    WORDS.iter().any(|word| text.contains(word)) || every()
}

/// A service.
pub const SERVICE: Object = Object::new(
    "service",
    &[
        ("develop", Shape::Either(&[NOTHING, Shape::Object(&DEVELOP)])),
        ("deploy", Shape::Either(&[NOTHING, Shape::Object(&DEPLOY)])),
        ("annotations", LIST_OR_DICT),
        ("attach", FLAG),
        ("build", Shape::Either(&[TEXT, Shape::Object(&BUILD)])),
        (
            "blkio_config",
            Shape::Object(
                &Object::new(
                    "blkio_config",
                    &[
                        ("device_read_bps", BLKIO_LIMITS),
                        ("device_read_iops", BLKIO_LIMITS),
                        ("device_write_bps", BLKIO_LIMITS),
                        ("device_write_iops", BLKIO_LIMITS),
                        ("weight", INTEGER_OR_TEXT),
                        (
                            "weight_device",
                            Shape::List(&Shape::Object(
                                &Object::new("weight", &[("path", TEXT), ("weight", INTEGER_OR_TEXT)]).closed(),
                            )),
                        ),
                    ],
                )
                .closed(),
            ),
        ),
        ("cap_add", UNIQUE_TEXTS),
        ("cap_drop", UNIQUE_TEXTS),
        ("cgroup", Shape::Choice(&["host", "private"])),
        ("cgroup_parent", TEXT),
        ("command", COMMAND),
        ("configs", FILE_MOUNTS),
        (
            "container_name",
            Shape::Pattern(
                is_container_name,
                "letters, digits, `_`, `.` and `-`, at least two of them",
                "[a-zA-Z0-9][a-zA-Z0-9_.-]",
            ),
        ),
        ("cpu_count", Shape::Either(&[TEXT, Shape::Whole { least: 0, most: i64::MAX }])),
        ("cpu_percent", Shape::Either(&[TEXT, Shape::Whole { least: 0, most: 100 }])),
        ("cpu_shares", NUMBER_OR_TEXT),
        ("cpu_quota", NUMBER_OR_TEXT),
        ("cpu_period", NUMBER_OR_TEXT),
        ("cpu_rt_period", NUMBER_OR_TEXT),
        ("cpu_rt_runtime", NUMBER_OR_TEXT),
        ("cpus", NUMBER_OR_TEXT),
        ("cpuset", TEXT),
        (
            "credential_spec",
            Shape::Object(&Object::new("credential_spec", &[("config", TEXT), ("file", TEXT), ("registry", TEXT)])),
        ),
        ("depends_on", Shape::Either(&[UNIQUE_TEXTS, Shape::Map(Keys::Names, &Shape::Object(&DEPENDENCY))])),
        ("device_cgroup_rules", UNIQUE_TEXTS),
        (
            "devices",
            Shape::List(&Shape::Either(&[
                TEXT,
                Shape::Object(
                    &Object::new("device", &[("source", TEXT), ("target", TEXT), ("permissions", TEXT)])
                        .requires(&["source"]),
                ),
            ])),
        ),
        ("dns", TEXT_OR_LIST),
        ("dns_opt", UNIQUE_TEXTS),
        ("dns_search", TEXT_OR_LIST),
        ("domainname", TEXT),
        ("entrypoint", COMMAND),
        (
            "env_file",
            Shape::Either(&[
                TEXT,
                Shape::List(&Shape::Either(&[
                    TEXT,
                    Shape::Object(
                        &Object::new("env_file", &[("path", TEXT), ("format", TEXT), ("required", FLAG)])
                            .closed()
                            .requires(&["path"]),
                    ),
                ])),
            ]),
        ),
        ("label_file", Shape::Either(&[TEXT, TEXTS])),
        ("environment", LIST_OR_DICT),
        ("expose", Shape::Unique(&NUMBER_OR_TEXT)),
        (
            "extends",
            Shape::Either(&[
                TEXT,
                Shape::Object(
                    &Object::new("extends", &[("service", TEXT), ("file", TEXT)]).closed().requires(&["service"]),
                ),
            ]),
        ),
        (
            "provider",
            Shape::Object(
                &Object::new(
                    "provider",
                    &[
                        ("type", TEXT),
                        (
                            "options",
                            Shape::Map(
                                Keys::Free,
                                &Shape::Either(&[
                                    Shape::Is(STRING | NUMBER | BOOLEAN),
                                    Shape::List(&Shape::Is(STRING | NUMBER | BOOLEAN)),
                                ]),
                            ),
                        ),
                    ],
                )
                .requires(&["type"]),
            ),
        ),
        ("external_links", UNIQUE_TEXTS),
        ("extra_hosts", EXTRA_HOSTS),
        ("gpus", GPUS),
        ("group_add", Shape::Unique(&NUMBER_OR_TEXT)),
        ("healthcheck", Shape::Object(&HEALTHCHECK)),
        ("hostname", TEXT),
        ("image", TEXT),
        ("init", FLAG),
        ("ipc", TEXT),
        ("isolation", TEXT),
        ("labels", LIST_OR_DICT),
        ("links", UNIQUE_TEXTS),
        (
            "logging",
            Shape::Object(&Object::new(
                "logging",
                &[("driver", TEXT), ("options", Shape::Map(Keys::Free, &Shape::Is(STRING | NUMBER | NULL)))],
            )),
        ),
        ("mac_address", TEXT),
        ("mem_limit", NUMBER_OR_TEXT),
        ("mem_reservation", INTEGER_OR_TEXT),
        ("mem_swappiness", INTEGER_OR_TEXT),
        ("memswap_limit", NUMBER_OR_TEXT),
        ("network_mode", TEXT),
        (
            "models",
            Shape::Either(&[
                UNIQUE_TEXTS,
                Shape::Map(
                    Keys::LooseNames,
                    &Shape::Either(&[
                        NOTHING,
                        Shape::Object(&Object::new("model", &[("endpoint_var", TEXT), ("model_var", TEXT)])),
                    ]),
                ),
            ]),
        ),
        (
            "networks",
            Shape::Either(&[
                UNIQUE_TEXTS,
                Shape::Map(Keys::Names, &Shape::Either(&[NOTHING, Shape::Object(&ATTACHMENT)])),
            ]),
        ),
        ("oom_kill_disable", FLAG),
        ("oom_score_adj", Shape::Either(&[TEXT, Shape::Whole { least: -1000, most: 1000 }])),
        ("pid", Shape::Is(STRING | NULL)),
        ("pids_limit", NUMBER_OR_TEXT),
        ("platform", TEXT),
        ("ports", PORTS),
        ("pre_start", Shape::List(&Shape::Object(&HOOK))),
        ("post_start", Shape::List(&Shape::Object(&HOOK))),
        ("pre_stop", Shape::List(&Shape::Object(&HOOK))),
        ("privileged", FLAG),
        ("profiles", UNIQUE_TEXTS),
        (
            "pull_policy",
            Shape::Pattern(
                is_pull_policy,
                "one of `always`, `never`, `missing`, `build`, `daily`, `weekly` or `every_<n><w|d|h|m|s>`",
                "always|never|build|if_not_present|missing|refresh|daily|weekly|every_[0-9]+[wdhms]",
            ),
        ),
        ("pull_refresh_after", TEXT),
        ("read_only", FLAG),
        ("restart", TEXT),
        ("runtime", TEXT),
        ("scale", INTEGER_OR_TEXT),
        ("security_opt", UNIQUE_TEXTS),
        ("shm_size", NUMBER_OR_TEXT),
        ("secrets", FILE_MOUNTS),
        ("sysctls", LIST_OR_DICT),
        ("stdin_open", FLAG),
        ("stop_grace_period", TEXT),
        ("stop_signal", TEXT),
        ("storage_opt", Shape::Map(Keys::LooseNames, &Shape::Any)),
        ("tmpfs", TEXT_OR_LIST),
        ("tty", FLAG),
        ("ulimits", ULIMITS),
        ("use_api_socket", Shape::Is(BOOLEAN)),
        ("user", TEXT),
        ("uts", TEXT),
        ("userns_mode", TEXT),
        ("volumes", MOUNTS),
        ("volumes_from", UNIQUE_TEXTS),
        ("working_dir", TEXT),
    ],
);

const DEPENDENCY: Object = Object::new(
    "dependency",
    &[
        ("restart", FLAG),
        ("required", FLAG),
        ("condition", Shape::Choice(&["service_started", "service_healthy", "service_completed_successfully"])),
    ],
)
.requires(&["condition"]);

const HEALTHCHECK: Object = Object::new(
    "healthcheck",
    &[
        ("disable", FLAG),
        ("interval", TEXT),
        ("retries", NUMBER_OR_TEXT),
        ("test", Shape::Either(&[TEXT, TEXTS])),
        ("timeout", TEXT),
        ("start_period", TEXT),
        ("start_interval", TEXT),
    ],
);

const ATTACHMENT: Object = Object::new(
    "network",
    &[
        ("aliases", UNIQUE_TEXTS),
        ("interface_name", TEXT),
        ("ipv4_address", TEXT),
        ("ipv6_address", TEXT),
        ("link_local_ips", UNIQUE_TEXTS),
        ("mac_address", TEXT),
        ("driver_opts", OPTIONS),
        ("priority", Shape::Is(NUMBER)),
        ("gw_priority", Shape::Is(NUMBER)),
    ],
);

const EXTERNAL: Shape = Shape::Either(&[FLAG, Shape::Object(&Object::new("external", &[("name", TEXT)]))]);
const OPEN_EXTERNAL: Shape = Shape::Either(&[FLAG, Shape::Object(&Object::new("external", &[("name", TEXT)]).open())]);

const NETWORK: Object = Object::new(
    "network",
    &[
        ("name", TEXT),
        ("driver", TEXT),
        ("driver_opts", OPTIONS),
        (
            "ipam",
            Shape::Object(&Object::new(
                "ipam",
                &[
                    ("driver", TEXT),
                    (
                        "config",
                        Shape::List(&Shape::Object(&Object::new(
                            "pool",
                            &[
                                ("subnet", TEXT),
                                ("ip_range", TEXT),
                                ("gateway", TEXT),
                                ("aux_addresses", Shape::Map(Keys::Free, &TEXT)),
                            ],
                        ))),
                    ),
                    ("options", Shape::Map(Keys::Free, &TEXT)),
                ],
            )),
        ),
        ("external", EXTERNAL),
        ("internal", FLAG),
        ("enable_ipv4", FLAG),
        ("enable_ipv6", FLAG),
        ("attachable", FLAG),
        ("labels", LIST_OR_DICT),
    ],
);

const VOLUME: Object = Object::new(
    "volume",
    &[("name", TEXT), ("driver", TEXT), ("driver_opts", OPTIONS), ("external", EXTERNAL), ("labels", LIST_OR_DICT)],
);

const SECRET: Object = Object::new(
    "secret",
    &[
        ("name", TEXT),
        ("environment", TEXT),
        ("file", TEXT),
        ("external", OPEN_EXTERNAL),
        ("labels", LIST_OR_DICT),
        ("driver", TEXT),
        ("driver_opts", OPTIONS),
        ("template_driver", TEXT),
    ],
);

const CONFIG: Object = Object::new(
    "config",
    &[
        ("name", TEXT),
        ("content", TEXT),
        ("environment", TEXT),
        ("file", TEXT),
        ("external", OPEN_EXTERNAL),
        ("labels", LIST_OR_DICT),
        ("template_driver", TEXT),
    ],
);

const MODEL: Object = Object::new(
    "model",
    &[("name", TEXT), ("model", TEXT), ("context_size", Shape::Is(INTEGER)), ("runtime_flags", TEXTS)],
)
.requires(&["model"]);
