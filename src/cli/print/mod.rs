//! What the person sees. One writer; the same events in several dresses.

pub(crate) mod age;
pub(crate) mod card;
pub(crate) mod control_echo;
pub(crate) mod diagnostic;
pub(crate) mod drop_in;
pub(crate) mod json;
pub(crate) mod log_filter;
pub(crate) mod logs;
pub(crate) mod plain;
pub(crate) mod printer;
pub(crate) mod progress;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod words;
