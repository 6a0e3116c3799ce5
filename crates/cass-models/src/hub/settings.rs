//! What the environment says of the Hub, under the names that Python's huggingface_hub reads.

use crate::fault::HubFault;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Where files of the Hub are kept, and how to ask for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSettings {
    /// The cache, `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// Address of the Hub, without a slash at its end.
    pub endpoint: String,
    /// Sent to the Hub, and to no address it redirects to.
    pub token: Option<String>,
    /// Whether the cache is all there is.
    pub offline: bool,
    /// The wait before the first attempt to repeat a request; each further one is twice as long.
    pub backoff: Duration,
    /// What fetching one file may take in all, waits included.
    pub timeout: Duration,
    /// Certificates to trust instead of the built-in ones, in PEM.
    pub certificates: Option<PathBuf>,
}

impl HubSettings {
    /// What fetching one file may take where nobody says otherwise: two hours.
    pub const TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);

    /// The endpoint for people to read: a name and a password in front of the host are left out.
    pub fn shown_endpoint(&self) -> String {
        without_password(&self.endpoint)
    }

    /// Settings from the environment: `HF_HUB_CACHE`, `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`
    /// and, behind a proxy with a certificate of its own, `SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE`.
    ///
    /// # Errors
    /// If there is no place for a cache, or the endpoint is no address.
    pub fn from_env() -> Result<Self, HubFault> {
        Self::from_variables(|name| std::env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, HubFault> {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let folder = |name: &str| given(name).map(PathBuf::from);
        let text = |name: &str| given(name).map(|value| value.to_string_lossy().trim().to_string());
        let is_true = |name: &str| {
            let value = text(name).map(|value| value.to_uppercase());
            value.is_some_and(|value| ["1", "ON", "YES", "TRUE"].contains(&value.as_str()))
        };

        let home = folder("HF_HOME")
            .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| folder("HOME").map(|home| home.join(".cache/huggingface")))
            .or_else(|| folder("USERPROFILE").map(|home| home.join(".cache/huggingface")));
        let cache = folder("HF_HUB_CACHE")
            .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| home.as_ref().map(|home| home.join("hub")))
            .ok_or(HubFault::Setting {
                variable: "HF_HOME",
                value: String::new(),
                expected: "a folder for the cache, as there is no HOME either",
            })?;
        let token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| {
                let file = folder("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token")));
                fs::read_to_string(file?).ok()
            })
            .map(|token| token.trim().to_string())
            .filter(|token| !token.is_empty());
        let visible = |token: &String| token.bytes().all(|b| b.is_ascii_graphic());
        if token.as_ref().is_some_and(|token| !visible(token)) {
            return Err(HubFault::Setting {
                variable: "HF_TOKEN",
                // A secret, even where it is a mistaken one.
                value: "…".into(),
                expected: "one word of ASCII characters",
            });
        }

        let is_empty = |value: OsString| value.to_string_lossy().trim().is_empty();
        if variable("HF_ENDPOINT").is_some_and(is_empty) {
            return Err(HubFault::Setting {
                variable: "HF_ENDPOINT",
                value: String::new(),
                expected: "an address such as https://huggingface.co, or no such variable",
            });
        }
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let endpoint = endpoint.trim_end_matches('/').to_string();
        let uri = endpoint.parse::<ureq::http::Uri>().ok();
        // A password with a slash in it: what stands in front of that would be taken for the host.
        let uri = uri.filter(|uri| !uri.path().contains('@'));
        let scheme = uri
            .as_ref()
            .and_then(|uri| uri.host().and(uri.scheme_str()));
        if !matches!(scheme, Some("http" | "https")) {
            return Err(HubFault::Setting {
                variable: "HF_ENDPOINT",
                value: without_password(&endpoint),
                expected: "an address such as https://huggingface.co",
            });
        }
        Ok(Self {
            cache,
            endpoint,
            token,
            offline: is_true("HF_HUB_OFFLINE") || is_true("TRANSFORMERS_OFFLINE"),
            backoff: Duration::from_secs(1),
            timeout: Self::TIMEOUT,
            certificates: folder("SSL_CERT_FILE").or_else(|| folder("REQUESTS_CA_BUNDLE")),
        })
    }
}

/// An address without what stands in front of its host, however that is written.
pub(super) fn without_password(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}…@{host}"),
        None => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<HubSettings, HubFault> {
        HubSettings::from_variables(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_cache_is_where_python_keeps_it() -> Result<(), HubFault> {
        let cache = |variables: &[(&str, &str)]| of(variables).map(|settings| settings.cache);
        let mut variables = vec![("HOME", "/h")];
        for (added, expected) in [
            (("A", "a"), "/h/.cache/huggingface/hub"),
            (("XDG_CACHE_HOME", "/x"), "/x/huggingface/hub"),
            (("HF_HOME", "/hf"), "/hf/hub"),
            (("HUGGINGFACE_HUB_CACHE", "/old"), "/old"),
            (("HF_HUB_CACHE", "/c"), "/c"),
        ] {
            variables.push(added);
            assert_eq!(cache(&variables)?, PathBuf::from(expected));
        }
        assert!(cache(&[]).is_err());
        Ok(())
    }

    #[test]
    fn a_token_comes_from_the_variable_or_the_file_of_the_login()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("token"), " hf_file\n")?;
        let home = ("HF_HOME", folder.path().to_str().ok_or("a path of text")?);
        assert_eq!(of(&[home])?.token.as_deref(), Some("hf_file"));
        let both = of(&[home, ("HF_TOKEN", "hf_variable")])?;
        assert_eq!(both.token.as_deref(), Some("hf_variable"));
        assert_eq!(of(&[("HOME", "/absent")])?.token, None);
        let text = of(&[home, ("HF_TOKEN", "a\nb")]).unwrap_err().to_string();
        assert!(!text.contains('\n') && !text.contains('a'.to_string().repeat(2).as_str()));
        Ok(())
    }

    #[test]
    fn a_password_is_never_shown() -> Result<(), HubFault> {
        let home = ("HOME", "/h");
        let settings = of(&[home, ("HF_ENDPOINT", "https://me:secret@mirror/x")])?;
        assert_eq!(settings.shown_endpoint(), "https://…@mirror/x");
        for wrong in [
            "me:secret@mirror",
            "ftp://me:secret@mirror",
            "https://me:sec/ret@mirror:x",
            "https://me:se@cret@",
        ] {
            let error = of(&[home, ("HF_ENDPOINT", wrong)]).unwrap_err().to_string();
            assert!(!error.contains("sec") && !error.contains("ret@"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn offline_and_endpoint_are_read() -> Result<(), HubFault> {
        let home = ("HOME", "/h");
        for (value, offline) in [
            ("1", true),
            ("true", true),
            ("YES", true),
            ("0", false),
            ("", false),
        ] {
            assert_eq!(of(&[home, ("HF_HUB_OFFLINE", value)])?.offline, offline);
        }
        assert_eq!(of(&[home])?.endpoint, "https://huggingface.co");
        let mirror = of(&[home, ("HF_ENDPOINT", "http://127.0.0.1:8000/")])?;
        assert_eq!(mirror.endpoint, "http://127.0.0.1:8000");
        for wrong in [
            "huggingface.co",
            "ftp://a",
            "file:///etc",
            "https://",
            "",
            " ",
        ] {
            assert!(of(&[home, ("HF_ENDPOINT", wrong)]).is_err(), "{wrong}");
        }
        Ok(())
    }
}
