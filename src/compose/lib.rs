//! Understands Compose files: text in, a typed [`Project`] and diagnostics out.
//!
//! Knows no clock, network, environment or async: the caller gives the environment in the [`LoadRequest`], and every
//! file through a [`Reader`]: [`FileSystem`] for the disk, a map of paths to texts for tests and editors. Nothing else
//! is read, and nothing is written. See [`load`](load::load) for the passes, in order.
//!
//! # Example
//! ```
//! use std::collections::BTreeMap;
//! use std::path::PathBuf;
//!
//! use compose::{LoadRequest, Severity, load};
//!
//! // What the files are: here in memory, by absolute path.
//! let mut files = BTreeMap::from([
//!     (PathBuf::from("/shop/compose.yaml"), "services:\n  web:\n    image: nginx:${TAG}\n    ports: [8080:80]\n".to_owned()),
//!     (PathBuf::from("/shop/.env"), "TAG=1.27\n".to_owned()),
//! ]);
//! let request = LoadRequest { working_directory: "/shop".into(), ..LoadRequest::default() };
//! let loaded = load(&request, &files);
//! let project = loaded.project.expect("nothing is wrong with it");
//! assert_eq!(project.name, "shop");
//! assert_eq!(project.services["web"].image.as_deref(), Some("nginx:1.27"));
//!
//! // A mistake has a code, a place and help, and all mistakes are told at once.
//! files.insert("/shop/compose.yaml".into(), "services:\n  web:\n    image: nginx\n    prots: []\n    tty: perhaps\n".into());
//! let loaded = load(&request, &files);
//! assert!(loaded.project.is_none());
//! let [unknown_key, no_boolean] = loaded.diagnostics.as_slice() else { panic!("two mistakes") };
//! assert_eq!((unknown_key.severity, unknown_key.code.0), (Severity::Error, 107));
//! let place = loaded.sources.position(unknown_key.span.expect("it stands in the file"));
//! assert_eq!(place.map(|at| (at.line, at.column)), Some((4, 5)));
//! assert_eq!(no_boolean.message, "`services.web.tty` takes a boolean, and `perhaps` is none");
//! ```
//!
//! # Limits
//! What is hostile ends in a diagnostic, in bounded time and memory:
//!
//! | what | at most |
//! | --- | --- |
//! | bytes of one file, read by [`FileSystem`] | [64 MiB](file_system::MAXIMUM_SIZE) |
//! | values of one file, those behind aliases counted each time | 500,000 |
//! | files included, each time counted | [1,000](assemble::include::MAXIMUM_FILES), [50](assemble::include::MAXIMUM_DEPTH) deep |
//! | services that extend each other in a chain | [100](assemble::extends::MAXIMUM_CHAIN) |
//! | references in the words of references | [64](interpolate::template::MAXIMUM_DEPTH) deep |
//! | ports that ranges unfold into | [131,072](canonical::ports::MAXIMUM_PORTS) |
//! | mistakes and warnings that are kept | [1,000](document::session::MAXIMUM_DIAGNOSTICS) |

pub mod assemble;
pub mod canonical;
pub mod check;
pub mod diagnostic;
pub mod document;
pub mod environment;
pub mod file_system;
pub mod interpolate;
pub mod load;
pub mod model;
pub mod request;
pub mod select;
pub mod source;

pub use diagnostic::{Code, Diagnostic, Label, Severity};
pub use file_system::FileSystem;
pub use load::{Loaded, load};
pub use model::project::Project;
pub use request::{LoadRequest, Passes};
pub use source::{FileId, ReadError, Reader, SourceMap, Span};
