//! A server on loopback that behaves as the Hugging Face Hub does, and misbehaves on demand.
//!
//! Two listeners, as the real one has two hosts: the Hub answers with commit, checksum and a
//! redirect; the content comes from the other.

use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// The state that `main` means at first.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Token that a private repository asks for.
pub const TOKEN: &str = "hf_secret";

/// Faults of the next answer of one of the two.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Another status, with headers.
    Status(u16, &'static str),
    /// The Hub's headers, changed: name and value.
    Header(&'static str, &'static str),
    /// The connection ends after so many bytes of content.
    Cut(usize),
    /// All of the content, whatever the range.
    NoRange,
    /// The first byte is another one.
    Flip,
    /// More bytes than were promised, by this number.
    More(usize),
    /// A byte, and the next after so many milliseconds.
    Slow(u64),
    /// Nothing is said for so many milliseconds.
    Silent(u64),
    /// No length is said, and bytes come until the client has enough.
    Endless,
}

/// A request that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether the other host saw it.
    pub of_content: bool,
    /// `GET` or `HEAD`.
    pub method: String,
    /// Path of the request, with its slash.
    pub path: String,
    /// Value of `Range`.
    pub range: Option<String>,
    /// Value of `Authorization`.
    pub authorization: Option<String>,
}

#[derive(Default)]
struct State {
    repos: HashMap<String, (String, Vec<u8>)>,
    private: Vec<String>,
    renamed: HashMap<String, String>,
    hub_faults: VecDeque<Fault>,
    content_faults: VecDeque<Fault>,
    seen: Vec<Seen>,
    content_address: String,
}

/// Runs until the process ends.
#[derive(Clone)]
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    /// Listens on two free ports.
    ///
    /// # Errors
    /// If there is none.
    pub fn start() -> Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let hub = TcpListener::bind("127.0.0.1:0")?;
        let content = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", hub.local_addr()?);
        let content_address = format!("http://{}", content.local_addr()?);
        state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .content_address = content_address;
        for (listener, of_content) in [(hub, false), (content, true)] {
            let state = state.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = state.clone();
                    // A client that goes away is no failure of the server's.
                    thread::spawn(move || serve(&stream, &state, of_content).ok());
                }
            });
        }
        Ok(Self { endpoint, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `bytes` the repository's `model.safetensors` at `commit`, and `commit` its `main`.
    pub fn publish(&self, repo: &str, commit: &str, bytes: &[u8]) {
        let content = (commit.to_string(), bytes.to_vec());
        self.state().repos.insert(repo.into(), content);
    }

    /// Asks for [`TOKEN`] from now on.
    pub fn make_private(&self, repo: &str) {
        self.state().private.push(repo.into());
    }

    /// Has the Hub answer for `from` with a redirect to `to`.
    pub fn rename(&self, from: &str, to: &str) {
        self.state().renamed.insert(from.into(), to.into());
    }

    /// The next answers of the Hub.
    pub fn fail_hub(&self, faults: &[Fault]) {
        self.state().hub_faults.extend(faults.iter().cloned());
    }

    /// The next answers of the other host.
    pub fn fail_content(&self, faults: &[Fault]) {
        self.state().content_faults.extend(faults.iter().cloned());
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// The ranges that content was asked for in.
    pub fn ranges(&self) -> Vec<Option<String>> {
        let seen = self.seen().into_iter();
        seen.filter(|seen| seen.of_content)
            .map(|seen| seen.range)
            .collect()
    }
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}

fn serve(stream: &TcpStream, state: &Mutex<State>, of_content: bool) -> Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split(' ').map(str::to_string);
    let mut seen = Seen {
        of_content,
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        range: None,
        authorization: None,
    };
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            match name.to_lowercase().as_str() {
                "range" => seen.range = Some(value.into()),
                "authorization" => seen.authorization = Some(value.into()),
                _ => {}
            }
        }
    }
    let (pace, answer) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen.push(seen.clone());
        let faults = match of_content {
            true => &mut state.content_faults,
            false => &mut state.hub_faults,
        };
        let is_of_pace =
            |fault: &&Fault| matches!(fault, Fault::Slow(_) | Fault::Silent(_) | Fault::Endless);
        let pace = faults.front().filter(is_of_pace).cloned();
        if pace.is_some() {
            faults.pop_front();
        }
        let answer = match of_content {
            true => content(&mut state, &seen),
            false => hub(&mut state, &seen),
        };
        (pace, answer)
    };
    let mut stream = stream;
    match pace {
        Some(Fault::Slow(wait)) => {
            for byte in answer {
                stream.write_all(&[byte])?;
                thread::sleep(Duration::from_millis(wait));
            }
        }
        Some(Fault::Endless) => {
            stream.write_all(b"HTTP/1.1 200 Said\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[0; 1 << 16])?;
            }
        }
        Some(Fault::Silent(wait)) => thread::sleep(Duration::from_millis(wait)),
        _ => stream.write_all(&answer)?,
    }
    stream.flush()
}

fn status(code: u16, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {code} Said\r\nConnection: close\r\nContent-Length: 0\r\n{headers}\r\n")
        .into_bytes()
}

/// Commit, checksum, size and where the content is.
fn hub(state: &mut State, seen: &Seen) -> Vec<u8> {
    let mut changed = Vec::new();
    match state.hub_faults.pop_front() {
        Some(Fault::Status(code, headers)) => return status(code, headers),
        Some(Fault::Header(name, value)) => changed.push((name, value)),
        _ => {}
    }
    let parts: Vec<&str> = seen.path.trim_matches('/').split('/').collect();
    let [owner, name, "resolve", revision, file] = parts[..] else {
        return status(404, "");
    };
    let repo = format!("{owner}/{name}");
    if let Some(new) = state.renamed.get(&repo) {
        return status(
            307,
            &format!("Location: /{new}/resolve/{revision}/{file}\r\n"),
        );
    }
    let may_read = seen.authorization.as_deref() == Some(&format!("Bearer {TOKEN}"));
    let Some((commit, bytes)) = state
        .repos
        .get(&repo)
        .filter(|_| may_read || !state.private.contains(&repo))
    else {
        // As the real one: who may not know gets 401 for what does not exist, too.
        let code = if may_read { 404 } else { 401 };
        return status(code, "X-Error-Code: RepoNotFound\r\n");
    };
    if revision != "main" && revision != commit {
        return status(404, "X-Error-Code: RevisionNotFound\r\n");
    }
    if file != "model.safetensors" {
        return status(404, "X-Error-Code: EntryNotFound\r\n");
    }
    let sha256 = sha256(bytes);
    let mut headers = vec![
        ("X-Repo-Commit", commit.clone()),
        ("X-Linked-Etag", format!("\"{sha256}\"")),
        ("X-Linked-Size", bytes.len().to_string()),
        ("ETag", format!("\"{}\"", &sha256[..40])),
        (
            "Location",
            format!("{}/content/{sha256}", state.content_address),
        ),
    ];
    for (name, value) in &mut headers {
        for (_, new) in changed.iter().filter(|(changed, _)| changed == name) {
            *value = (*new).to_string();
        }
    }
    headers.retain(|(_, value)| !value.is_empty());
    let text: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    status(302, &text)
}

/// The bytes, from where the range starts.
fn content(state: &mut State, seen: &Seen) -> Vec<u8> {
    let fault = state.content_faults.pop_front();
    if let Some(Fault::Status(code, headers)) = fault {
        return status(code, headers);
    }
    let wanted = seen.path.trim_start_matches("/content/");
    let Some((_, bytes)) = state
        .repos
        .values()
        .find(|(_, bytes)| sha256(bytes) == wanted)
    else {
        return status(403, "");
    };
    let mut bytes = bytes.clone();
    let whole = bytes.len();
    let range = seen.range.as_deref().and_then(|range| {
        let start = range.strip_prefix("bytes=")?.strip_suffix('-')?;
        start.parse::<usize>().ok()
    });
    let mut start = range.unwrap_or(0);
    let mut code = if range.is_some() { 206 } else { 200 };
    let mut keep = usize::MAX;
    match fault {
        Some(Fault::Cut(after)) => keep = after,
        Some(Fault::NoRange) => (start, code) = (0, 200),
        Some(Fault::Flip) => bytes[0] ^= 1,
        Some(Fault::More(count)) => bytes.resize(whole + count, 0),
        _ => {}
    }
    if start >= bytes.len() {
        return status(416, &format!("Content-Range: bytes */{whole}\r\n"));
    }
    let body = &bytes[start..];
    let mut answer = format!("HTTP/1.1 {code} Said\r\nConnection: close\r\n");
    answer += &format!("Content-Length: {}\r\n", body.len());
    if code == 206 {
        let last = bytes.len() - 1;
        answer += &format!("Content-Range: bytes {start}-{last}/{}\r\n", bytes.len());
    }
    answer += "\r\n";
    let mut answer = answer.into_bytes();
    if seen.method == "GET" {
        answer.extend_from_slice(&body[..body.len().min(keep)]);
    }
    answer
}
