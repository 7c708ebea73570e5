//! The schema of what stands inside of services: builds, deployment, watching, mounts.

use crate::check::shape::{
    BOOLEAN, FLAG, INTEGER_OR_TEXT, Keys, LIST_OR_DICT, NULL, NUMBER_OR_TEXT, Object, STRING, Shape, TEXT,
    TEXT_OR_LIST, TEXTS, UNIQUE_TEXTS,
};

/// `build`
pub const BUILD: Object = Object::new(
    "build",
    &[
        ("context", TEXT),
        ("dockerfile", TEXT),
        ("dockerfile_inline", TEXT),
        ("entitlements", TEXTS),
        ("args", LIST_OR_DICT),
        ("ssh", LIST_OR_DICT),
        ("labels", LIST_OR_DICT),
        ("cache_from", TEXTS),
        ("cache_to", TEXTS),
        ("no_cache", FLAG),
        ("no_cache_filter", TEXT_OR_LIST),
        ("additional_contexts", LIST_OR_DICT),
        ("network", TEXT),
        ("provenance", Shape::Is(STRING | BOOLEAN)),
        ("sbom", Shape::Is(STRING | BOOLEAN)),
        ("pull", FLAG),
        ("target", TEXT),
        ("shm_size", INTEGER_OR_TEXT),
        ("extra_hosts", EXTRA_HOSTS),
        ("isolation", TEXT),
        ("privileged", FLAG),
        ("secrets", FILE_MOUNTS),
        ("tags", TEXTS),
        ("ulimits", ULIMITS),
        ("platforms", TEXTS),
    ],
);

/// `extra_hosts`
pub const EXTRA_HOSTS: Shape = Shape::Either(&[Shape::Map(Keys::Free, &Shape::Either(&[TEXT, TEXTS])), UNIQUE_TEXTS]);

/// `secrets` and `configs` of a service
pub const FILE_MOUNTS: Shape = Shape::List(&Shape::Either(&[
    TEXT,
    Shape::Object(&Object::new(
        "mount",
        &[("source", TEXT), ("target", TEXT), ("uid", TEXT), ("gid", TEXT), ("mode", NUMBER_OR_TEXT)],
    )),
]));

/// `ulimits`
pub const ULIMITS: Shape = Shape::Map(
    Keys::LooseNames,
    &Shape::Either(&[
        INTEGER_OR_TEXT,
        Shape::Object(
            &Object::new("limit", &[("hard", INTEGER_OR_TEXT), ("soft", INTEGER_OR_TEXT)]).requires(&["soft", "hard"]),
        ),
    ]),
);

/// `command`, `entrypoint`
pub const COMMAND: Shape = Shape::Either(&[Shape::Is(NULL | STRING), TEXTS]);

/// A hook.
pub const HOOK: Object = Object::new(
    "hook",
    &[
        ("command", COMMAND),
        ("image", TEXT),
        ("per_replica", FLAG),
        ("user", TEXT),
        ("privileged", FLAG),
        ("working_dir", TEXT),
        ("environment", LIST_OR_DICT),
    ],
)
.requires(&["command"]);

/// `develop`
pub const DEVELOP: Object = Object::new(
    "develop",
    &[(
        "watch",
        Shape::List(&Shape::Object(
            &Object::new(
                "rule",
                &[
                    ("ignore", TEXT_OR_LIST),
                    ("include", TEXT_OR_LIST),
                    ("path", TEXT),
                    ("action", Shape::Choice(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
                    ("target", TEXT),
                    ("exec", Shape::Object(&HOOK)),
                    ("initial_sync", Shape::Is(BOOLEAN)),
                ],
            )
            .requires(&["path", "action"]),
        )),
    )],
);

const UPDATE: Object = Object::new(
    "update",
    &[
        ("parallelism", INTEGER_OR_TEXT),
        ("delay", TEXT),
        ("failure_action", TEXT),
        ("monitor", TEXT),
        ("max_failure_ratio", NUMBER_OR_TEXT),
        ("order", Shape::Choice(&["start-first", "stop-first"])),
    ],
);

const DEVICE_REQUEST: &[(&str, Shape)] = &[
    ("capabilities", UNIQUE_TEXTS),
    ("count", INTEGER_OR_TEXT),
    ("device_ids", UNIQUE_TEXTS),
    ("driver", TEXT),
    ("options", LIST_OR_DICT),
];

/// `gpus`
pub const GPUS: Shape =
    Shape::Either(&[Shape::Choice(&["all"]), Shape::List(&Shape::Object(&Object::new("GPU", DEVICE_REQUEST).open()))]);

/// `deploy`
pub const DEPLOY: Object = Object::new(
    "deploy",
    &[
        ("mode", TEXT),
        ("endpoint_mode", TEXT),
        ("replicas", INTEGER_OR_TEXT),
        ("labels", LIST_OR_DICT),
        ("rollback_config", Shape::Object(&UPDATE)),
        ("update_config", Shape::Object(&UPDATE)),
        (
            "resources",
            Shape::Object(&Object::new(
                "resources",
                &[
                    (
                        "limits",
                        Shape::Object(&Object::new(
                            "limits",
                            &[("cpus", NUMBER_OR_TEXT), ("memory", TEXT), ("pids", INTEGER_OR_TEXT)],
                        )),
                    ),
                    (
                        "reservations",
                        Shape::Object(&Object::new(
                            "reservations",
                            &[
                                ("cpus", NUMBER_OR_TEXT),
                                ("memory", TEXT),
                                (
                                    "generic_resources",
                                    Shape::List(&Shape::Object(&Object::new(
                                        "resource",
                                        &[(
                                            "discrete_resource_spec",
                                            Shape::Object(&Object::new(
                                                "resource",
                                                &[("kind", TEXT), ("value", NUMBER_OR_TEXT)],
                                            )),
                                        )],
                                    ))),
                                ),
                                (
                                    "devices",
                                    Shape::List(&Shape::Object(
                                        &Object::new("device", DEVICE_REQUEST).requires(&["capabilities"]),
                                    )),
                                ),
                            ],
                        )),
                    ),
                ],
            )),
        ),
        (
            "restart_policy",
            Shape::Object(&Object::new(
                "restart policy",
                &[("condition", TEXT), ("delay", TEXT), ("max_attempts", INTEGER_OR_TEXT), ("window", TEXT)],
            )),
        ),
        (
            "placement",
            Shape::Object(&Object::new(
                "placement",
                &[
                    ("constraints", TEXTS),
                    ("preferences", Shape::List(&Shape::Object(&Object::new("preference", &[("spread", TEXT)])))),
                    ("max_replicas_per_node", INTEGER_OR_TEXT),
                ],
            )),
        ),
    ],
);

/// `volumes` of a service
pub const MOUNTS: Shape = Shape::Unique(&Shape::Either(&[
    TEXT,
    Shape::Object(
        &Object::new(
            "volume",
            &[
                ("type", Shape::Choice(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
                ("source", TEXT),
                ("target", TEXT),
                ("read_only", FLAG),
                ("consistency", TEXT),
                (
                    "bind",
                    Shape::Object(&Object::new(
                        "bind",
                        &[
                            ("propagation", TEXT),
                            ("create_host_path", FLAG),
                            ("recursive", Shape::Choice(&["enabled", "disabled", "writable", "readonly"])),
                            ("selinux", Shape::Choice(&["z", "Z"])),
                        ],
                    )),
                ),
                (
                    "volume",
                    Shape::Object(&Object::new(
                        "volume",
                        &[("labels", LIST_OR_DICT), ("nocopy", FLAG), ("subpath", TEXT)],
                    )),
                ),
                (
                    "tmpfs",
                    Shape::Object(&Object::new(
                        "tmpfs",
                        &[
                            ("size", Shape::Either(&[Shape::Whole { least: 0, most: i64::MAX }, TEXT])),
                            ("mode", NUMBER_OR_TEXT),
                        ],
                    )),
                ),
                ("image", Shape::Object(&Object::new("image", &[("subpath", TEXT)]))),
            ],
        )
        .requires(&["type"]),
    ),
]));

/// `ports`
pub const PORTS: Shape = Shape::Unique(&Shape::Either(&[
    NUMBER_OR_TEXT,
    Shape::Object(&Object::new(
        "port",
        &[
            ("name", TEXT),
            ("mode", TEXT),
            ("host_ip", TEXT),
            ("target", INTEGER_OR_TEXT),
            ("published", INTEGER_OR_TEXT),
            ("protocol", TEXT),
            ("app_protocol", TEXT),
        ],
    )),
]));
