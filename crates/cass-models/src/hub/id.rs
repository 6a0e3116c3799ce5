//! Which repository, and which state of it.

use crate::fault::HubFault;
use crate::registry::ModelInfo;
use std::fmt;
use std::str::FromStr;

const MAIN: &str = "main";

/// A repository of the Hub in one state: `timm/resnet50.a1_in1k` or `timm/resnet50.a1_in1k@REVISION`,
/// where a revision is a branch, a tag or a commit.
///
/// ```
/// let id: cass_models::hub::HubId = "timm/resnet18.a1_in1k@main".parse().unwrap();
/// assert_eq!((id.repo(), id.revision()), ("timm/resnet18.a1_in1k", "main"));
/// assert_eq!(id.commit(), None);
/// assert!("../secret".parse::<cass_models::hub::HubId>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubId {
    repo: String,
    revision: String,
}

impl HubId {
    /// Where timm publishes these weights of a network, as they are now.
    pub fn of(network: &ModelInfo) -> Self {
        Self {
            repo: network.hub_id.into(),
            revision: MAIN.into(),
        }
    }

    /// The same repository in another state.
    ///
    /// # Errors
    /// If `revision` cannot be the name of a branch, a tag or a commit.
    pub fn at(&self, revision: &str) -> Result<Self, HubFault> {
        let is_safe = |part: &str| is_name(part) && !part.starts_with('.');
        if revision.len() > 200 || !revision.split('/').all(is_safe) {
            return Err(HubFault::Name(format!("revision {revision:?}")));
        }
        Ok(Self {
            repo: self.repo.clone(),
            revision: revision.into(),
        })
    }

    /// `owner/name`.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// A branch, a tag or a commit; `main` unless another was asked for.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The revision, where it is a commit and so can never mean anything else.
    pub fn commit(&self) -> Option<&str> {
        is_commit(&self.revision).then_some(&self.revision)
    }
}

impl FromStr for HubId {
    type Err = HubFault;

    fn from_str(text: &str) -> Result<Self, HubFault> {
        let (repo, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let fits = match repo.split_once('/') {
            Some((owner, name)) => [owner, name].into_iter().all(is_name),
            None => false,
        };
        if !fits || repo.len() > 200 {
            return Err(HubFault::Name(format!("repository {repo:?}")));
        }
        let id = Self {
            repo: repo.into(),
            revision: MAIN.into(),
        };
        id.at(revision)
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repo)?;
        if self.revision != MAIN {
            write!(f, "@{}", self.revision)?;
        }
        Ok(())
    }
}

/// Letters, digits, `-`, `_` and `.`: what is a part of a path and a URL as it stands.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && !text.chars().all(|c| c == '.') && text.chars().all(fits)
}

/// 40 hexadecimal digits in lower case.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && is_hex(text)
}

/// 64 hexadecimal digits in lower case.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_leave_the_cache_or_change_the_request_is_no_name() {
        for text in [
            "resnet50",
            "a/b/c",
            "../b",
            "a/..",
            "a/b@",
            "a/b@../c",
            "a/b@x//y",
            "a/b@/etc",
            "/b",
            "a/",
            "a/b?x",
            "a/b c",
            "a/b@r\nX: y",
            "a/b#x",
            "a/b@.git",
        ] {
            assert!(text.parse::<HubId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_read_back_as_they_are_written() {
        let commit = "a".repeat(40);
        for text in [
            "timm/resnet50.a1_in1k",
            "a-b/c_d.e@v1.0",
            "a/b@refs/pr/1",
            &format!("a/b@{commit}"),
        ] {
            assert_eq!(
                text.parse::<HubId>()
                    .map(|id| id.to_string())
                    .ok()
                    .as_deref(),
                Some(text)
            );
        }
    }
}
