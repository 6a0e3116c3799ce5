//! x
use std::process::ExitCode;
pub fn golden(_: bool, _: &std::path::Path, _: Option<&str>) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
