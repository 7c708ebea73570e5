//! `build --check`: the Dockerfile is looked through here, as the rules are the same whoever builds.

use orchestrator::engine::error::{EngineError, ErrorKind, Place};
use orchestrator::engine::image::BuildSpec;
use runtime::build::lint;

use crate::docker::build::context::{Context, is_remote};
use crate::docker::build::{image_name, refuse};
use crate::docker::fault::Fault;

/// Looks for mistakes without building anything; what it finds is an error.
pub(super) fn check(spec: &BuildSpec) -> Result<(), EngineError> {
    if is_remote(&spec.context) && spec.dockerfile_inline.is_none() {
        return Err(refuse(spec, "the Dockerfile of a context that the engine fetches is not here to be checked"));
    }
    let context = Context::of(spec).map_err(|fault: Fault| fault.at("build", image_name(spec)))?;
    let directive = spec.args.get(lint::CHECK).and_then(Option::as_deref);
    let at = |line: u32, message: &str| {
        let text = usize::try_from(line).ok().and_then(|line| context.text.lines().nth(line.checked_sub(1)?));
        let name = image_name(spec);
        let mut error = EngineError::new(ErrorKind::Failed, name.clone(), format!("cannot build {name}: {message}"));
        let text = text.unwrap_or_default().trim().to_owned();
        error.place = Some(Place { file: context.shown.clone(), line, text });
        error
    };
    let found = lint::lint(&context.text, directive, &context.ignore);
    let found = found.map_err(|error| at(error.line, &error.message))?;
    found.warnings.first().map_or(Ok(()), |first| Err(at(first.line, &found.to_string())))
}
