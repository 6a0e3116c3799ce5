//! Requests to the Hub: who gets the token, which redirects are followed, what a status means.

use super::id::{HubId, is_commit, is_sha256};
use super::settings::HubSettings;
use crate::fault::HubFault;
use crate::text::printable;
use std::time::{Duration, Instant};
use std::{fs, io};
use ureq::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestExt};

/// What finding the server, and then connecting to it, may take: without a network nobody waits for long.
const REACH: Duration = Duration::from_millis(2300);
/// As many redirects as browsers follow, about.
const REDIRECTS: usize = 10;

/// Why one attempt came to nothing.
pub(super) enum Trouble {
    /// No further attempt helps.
    Final(HubFault),
    /// There was no connection.
    Unreachable(String),
    /// Another attempt may help, after so long if the server said.
    Passing(String, Option<Duration>),
}

impl From<HubFault> for Trouble {
    fn from(fault: HubFault) -> Self {
        Self::Final(fault)
    }
}

/// What the Hub says of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// That the revision means today.
    pub(super) commit: String,
    /// Of the content, in hexadecimal: the ETag of a file in LFS.
    pub(super) sha256: String,
    pub(super) size: Option<u64>,
}

/// An answer to a request for bytes from `start` on.
pub(super) struct Content {
    pub(super) start: u64,
    pub(super) body: Box<dyn io::Read>,
}

pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    /// The same for people to read.
    shown: String,
    /// When fetching has to be over, and what it may take.
    deadline: (Instant, Duration),
    home: Uri,
    token: Option<String>,
}

impl Client {
    pub(super) fn new(settings: &HubSettings) -> Result<Self, HubFault> {
        let home = settings.endpoint.parse().map_err(|_| HubFault::Setting {
            variable: "HF_ENDPOINT",
            value: settings.shown_endpoint(),
            expected: "an address such as https://huggingface.co",
        })?;
        let mut tls = TlsConfig::builder();
        if let Some(file) = &settings.certificates {
            tls = tls.root_certs(certificates(file)?);
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            // Followed here: the token is for the Hub alone, and its headers come before the last hop.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(settings.timeout.min(REACH)))
            .timeout_connect(Some(settings.timeout.min(REACH)))
            .timeout_recv_response(Some(settings.timeout.min(Duration::from_secs(60))))
            .timeout_per_read(Some(settings.timeout.min(Duration::from_secs(60))));
        Ok(Self {
            agent: config.build().into(),
            endpoint: settings.endpoint.clone(),
            shown: settings.shown_endpoint(),
            deadline: (Instant::now() + settings.timeout, settings.timeout),
            home,
            token: settings.token.clone(),
        })
    }

    /// Whether there is time for a wait, and for what comes after it.
    pub(super) fn expect_time(&self, wait: Duration) -> Result<(), HubFault> {
        let (end, timeout) = self.deadline;
        if Instant::now() + wait < end {
            return Ok(());
        }
        Err(HubFault::TooSlow {
            endpoint: self.shown.clone(),
            seconds: timeout.as_secs_f64(),
        })
    }

    /// Asks for a file's commit, checksum and size.
    pub(super) fn metadata(&self, id: &HubId, file: &str) -> Result<Metadata, Trouble> {
        let mut uri = self.address(id, file)?;
        for _ in 0..REDIRECTS {
            let answer = self.send(Method::HEAD, &uri, None)?;
            // A redirect to the content says all there is; one without is to where a repository is
            // now, or a mirror's to the Hub.
            let says_all = ["x-repo-commit", "x-linked-etag"]
                .iter()
                .all(|&name| answer.headers().contains_key(name));
            match location(&answer) {
                Some(to) if !says_all => uri = self.follow(&uri, to)?,
                _ => return self.read_metadata(&answer),
            }
        }
        Err(self.answer("it redirects without end").into())
    }

    fn read_metadata(&self, answer: &Response<Body>) -> Result<Metadata, Trouble> {
        if !answer.status().is_redirection() {
            self.check(answer)?;
        }
        let headers = answer.headers();
        let commit = text(headers, "x-repo-commit").unwrap_or_default();
        if !is_commit(commit) {
            return Err(self.answer(&format!("X-Repo-Commit is {commit:?}")).into());
        }
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
        let etag = etag.unwrap_or_default().trim_start_matches("W/");
        let sha256 = etag.trim_matches('"');
        if !is_sha256(sha256) {
            let reason = format!("the ETag {sha256:?} is no SHA-256");
            return Err(self.answer(&reason).into());
        }
        // Of a redirect, Content-Length is that of its own body.
        let own = Some("content-length").filter(|_| answer.status().is_success());
        let size = text(headers, "x-linked-size").or_else(|| text(headers, own?));
        Ok(Metadata {
            commit: commit.into(),
            sha256: sha256.into(),
            size: size.and_then(|size| size.parse().ok()),
        })
    }

    /// Asks for a file's bytes from `start` on; what comes may start at 0 nevertheless.
    pub(super) fn content(&self, id: &HubId, file: &str, start: u64) -> Result<Content, Trouble> {
        let mut uri = self.address(id, file)?;
        for _ in 0..REDIRECTS {
            let answer = self.send(Method::GET, &uri, Some(start))?;
            if let Some(to) = location(&answer) {
                uri = self.follow(&uri, to)?;
                continue;
            }
            self.check(&answer)?;
            let start = match answer.status() {
                StatusCode::PARTIAL_CONTENT => first_byte(answer.headers()).ok_or_else(|| {
                    self.answer("it sends a part of the file without saying which")
                })?,
                _ => 0,
            };
            let body = Box::new(answer.into_body().into_reader());
            return Ok(Content { start, body });
        }
        Err(self.answer("it redirects without end").into())
    }

    fn address(&self, id: &HubId, file: &str) -> Result<Uri, HubFault> {
        let (repo, revision) = (id.repo(), id.revision().replace('/', "%2F"));
        let address = format!("{}/{repo}/resolve/{revision}/{file}", self.endpoint);
        address
            .parse()
            .map_err(|_| self.answer(&format!("{repo:?} at {revision:?} makes no address")))
    }

    fn follow(&self, from: &Uri, to: &str) -> Result<Uri, HubFault> {
        let address = match (from.scheme_str(), from.authority()) {
            (Some(scheme), Some(host)) if to.starts_with('/') && !to.starts_with("//") => {
                format!("{scheme}://{host}{to}")
            }
            _ => to.to_string(),
        };
        let target: Option<Uri> = address.parse().ok();
        let safe = |uri: &Uri| match uri.scheme_str() {
            Some("https") => true,
            scheme => scheme == Some("http") && self.home.scheme_str() == scheme,
        };
        target
            .filter(safe)
            .ok_or_else(|| self.answer(&format!("it redirects to {to:?}")))
    }

    /// One request, without following anything.
    fn send(
        &self,
        method: Method,
        uri: &Uri,
        start: Option<u64>,
    ) -> Result<Response<Body>, Trouble> {
        const AGENT: &str = concat!("cass-models/", env!("CARGO_PKG_VERSION"));
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::USER_AGENT, AGENT)
            // Ranges and sizes are of the bytes themselves.
            .header(header::ACCEPT_ENCODING, "identity");
        let same = uri.authority() == self.home.authority() && uri.scheme() == self.home.scheme();
        if let Some(token) = self.token.as_ref().filter(|_| same) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(start) = start.filter(|&start| start > 0) {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        let request = request
            .body(())
            .map_err(|e| self.answer(&format!("{uri} cannot be asked for: {e}")))?;
        request.with_agent(&self.agent).run().map_err(|error| {
            let reason = match &error {
                ureq::Error::Io(e) => e.to_string(),
                other => other.to_string(),
            };
            let reason = self.hide(&reason);
            match &error {
                ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
                    Trouble::Unreachable(reason)
                }
                ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                    Trouble::Unreachable(reason)
                }
                ureq::Error::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    Trouble::Unreachable(reason)
                }
                // So TLS reports a certificate that is not to be trusted.
                ureq::Error::Io(e) if e.kind() == io::ErrorKind::InvalidData => {
                    Trouble::Final(HubFault::Untrusted {
                        endpoint: self.shown.clone(),
                        reason: printable(&reason),
                    })
                }
                ureq::Error::Io(_) | ureq::Error::Protocol(_) | ureq::Error::Timeout(_) => {
                    Trouble::Passing(reason, None)
                }
                _ => self.answer(&reason).into(),
            }
        })
    }

    /// What any status but success means.
    fn check(&self, answer: &Response<Body>) -> Result<(), Trouble> {
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let endpoint = self.shown.clone();
        let code = text(answer.headers(), "x-error-code").unwrap_or_default();
        let said = match code {
            "" => status.to_string(),
            code => format!("{}, {}", status.as_str(), printable(code)),
        };
        Err(match status.as_u16() {
            // So the Hub answers for a repository that does not exist, too.
            401 | 403 if self.token.is_none() => Trouble::Final(HubFault::Denied {
                endpoint,
                status: said,
                expected: "expected a public repository of this name, or a token in HF_TOKEN",
            }),
            401 | 403 => Trouble::Final(HubFault::Denied {
                endpoint,
                status: said,
                expected: "expected a repository that the token of HF_TOKEN may read",
            }),
            404 => Trouble::Final(HubFault::NotFound {
                endpoint,
                status: said,
            }),
            408 | 429 | 500 | 502 | 503 | 504 => {
                let reason = format!("{endpoint} answers {said}");
                Trouble::Passing(reason, wait(answer.headers()))
            }
            416 => Trouble::Passing(format!("{endpoint} answers {said}"), None),
            _ => Trouble::Final(self.answer(&format!("its status is {said}"))),
        })
    }

    /// A text without the endpoint's name and password, which a server may repeat.
    fn hide(&self, text: &str) -> String {
        let rest = self.endpoint.split_once("://").map_or("", |(_, rest)| rest);
        match rest.rsplit_once('@') {
            Some((secret, _)) => text.replace(secret, "…"),
            None => text.to_string(),
        }
    }

    pub(super) fn answer(&self, reason: &str) -> HubFault {
        HubFault::Answer {
            endpoint: self.shown.clone(),
            reason: printable(&self.hide(reason)),
        }
    }
}

fn certificates(file: &std::path::Path) -> Result<RootCerts, HubFault> {
    let pem = fs::read(file).map_err(HubFault::io("read as certificates", file))?;
    let found: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(HubFault::Setting {
            variable: "SSL_CERT_FILE or REQUESTS_CA_BUNDLE",
            value: file.display().to_string(),
            expected: "a file of certificates in PEM",
        });
    }
    Ok(RootCerts::new_with_certs(&found))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn location(answer: &Response<Body>) -> Option<&str> {
    text(answer.headers(), "location").filter(|_| answer.status().is_redirection())
}

/// `Retry-After: 5` or the Hub's own `RateLimit: "resolvers";r=0;t=5` → 5 s
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let left = || {
        let mut parts = text(headers, "ratelimit")?.split(';');
        parts.find_map(|part| part.trim().strip_prefix("t="))
    };
    let seconds = text(headers, "retry-after").or_else(left)?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// `Content-Range: bytes 5-9/10` → 5
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, "content-range")?.strip_prefix("bytes ")?;
    range.split('-').next()?.parse().ok()
}
