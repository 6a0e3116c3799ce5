//! Folders that are not a run's.

use crate::error::{Action, Error, Result};
use crate::file::read_text;
use crate::metrics::Metrics;
use crate::names::{METRICS, OF_STARTERS, RECIPE};
use crate::recipe::first_difference;
use crate::whole::is_temporary;
use crate::{lock, schema};
use std::fs;
use std::path::Path;

/// What systems put into folders by themselves.
const OF_SYSTEMS: [&str; 4] = [".DS_Store", "Thumbs.db", "desktop.ini", "lost+found"];

/// Whether a run may begin or continue in a folder: it is empty, or one began in it, or it is the copy
/// of a finished run of this recipe. All else is somebody's, and may hold files of the names that a
/// run writes.
///
/// # Errors
/// [`Error::Foreign`] if not.
pub(crate) fn check(folder: &Path, recipe: &str) -> Result<()> {
    if lock::has_owner(folder)? {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(Error::io(Action::Read, folder))? {
        let entry = entry.map_err(Error::io(Action::Read, folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let known = OF_STARTERS.contains(&name.as_str())
            || OF_SYSTEMS.contains(&name.as_str())
            || is_temporary(&name)
            || lock::is_untouched(&entry.path());
        if known {
            continue;
        }
        let foreign = Error::Foreign {
            path: folder.into(),
            name,
        };
        return is_copy(folder, recipe).then_some(()).ok_or(foreign);
    }
    Ok(())
}

/// Whether a finished run of this recipe was copied here, without what says who owned it.
fn is_copy(folder: &Path, recipe: &str) -> bool {
    let same = read_text(&folder.join(RECIPE)).ok().flatten();
    let same = same.is_some_and(|other| first_difference(&other, recipe).is_none());
    same && matches!(schema::read::<Metrics>(&folder.join(METRICS)), Ok(Some(_)))
}
