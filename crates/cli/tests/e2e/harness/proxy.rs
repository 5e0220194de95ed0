//! A loopback HTTP proxy in front of one server, whose behaviour a test decides: it may lie, count,
//! or kill somebody at the k-th request. Speaks just enough HTTP for the parts of this project.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// What came.
#[derive(Debug, Clone)]
pub struct Request {
    /// GET, PUT, POST.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Every header line, as sent.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// What goes back.
#[derive(Debug, Clone)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// Every header but those about the body's length and the connection.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Request {
    /// The same, asking for an answer that a test can change.
    #[allow(dead_code, reason = "for tests of the coordinator")]
    pub fn uncompressed(&self) -> Self {
        let mut request = self.clone();
        request.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("accept-encoding"));
        request
    }
}

impl Response {
    /// The body as JSON, changed by `change`.
    pub fn edit_json(&mut self, change: impl FnOnce(&mut serde_json::Value)) {
        if let Ok(mut value) = serde_json::from_slice(&self.body) {
            change(&mut value);
            self.body = value.to_string().into_bytes();
        }
    }
}

/// Decides about one request; `None` closes the connection without an answer.
pub trait Behaviour: Fn(&Request, &Upstream) -> Option<Response> + Send + Sync + 'static {}
impl<F: Fn(&Request, &Upstream) -> Option<Response> + Send + Sync + 'static> Behaviour for F {}

/// The real server.
#[derive(Debug, Clone, Copy)]
pub struct Upstream(SocketAddr);

impl Upstream {
    /// The server at `url`, which must be a loopback address with a port.
    pub fn at(url: &str) -> Self {
        let address = url.trim_start_matches("http://").trim_end_matches('/');
        Self(address.parse().expect("a loopback URL"))
    }

    /// Asks the real server; `None` when it does not answer.
    pub fn ask(&self, request: &Request) -> Option<Response> {
        self.exchange(request).ok()
    }

    fn exchange(&self, request: &Request) -> io::Result<Response> {
        let mut stream = TcpStream::connect(self.0)?;
        // HTTP/1.0: the answer comes unchunked and ends with the connection.
        let mut head = format!("{} {} HTTP/1.0\r\n", request.method, request.path);
        for (name, value) in &request.headers {
            if !is_hop(name) {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", request.body.len()));
        stream.write_all(head.as_bytes())?;
        // A server may refuse a body by its length and stop reading it; its answer is what counts.
        let _ = stream.write_all(&request.body);
        let mut reader = BufReader::new(stream);
        let (first, headers) = read_head(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status =
            first.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let mut body = Vec::new();
        match length(&headers) {
            Some(length) => {
                body.resize(length, 0);
                reader.read_exact(&mut body)?;
            }
            None => {
                reader.read_to_end(&mut body)?;
            }
        }
        let headers = headers.into_iter().filter(|(name, _)| !is_hop(name)).collect();
        Ok(Response { status, headers, body })
    }
}

/// Starts a proxy in front of `upstream` (a URL) and returns its URL, with a final slash. It lives as
/// long as the test's process.
pub fn start(upstream: &str, behaviour: impl Behaviour) -> String {
    let upstream = Upstream::at(upstream);
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let behaviour = Arc::new(behaviour);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let behaviour = Arc::clone(&behaviour);
            // A client that goes away in the middle is its own affair.
            std::thread::spawn(move || serve(stream, upstream, &*behaviour));
        }
    });
    url
}

fn serve(stream: TcpStream, upstream: Upstream, behaviour: &dyn Behaviour) -> io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some((first, headers)) = read_head(&mut reader)? {
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
        let body = read_body(&mut reader, &headers)?;
        let Some(response) = behaviour(&Request { method, path, headers, body }, &upstream) else {
            return Ok(());
        };
        let mut head = format!("HTTP/1.1 {} Whatever\r\n", response.status);
        for (name, value) in &response.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", response.body.len()));
        out.write_all(head.as_bytes())?;
        out.write_all(&response.body)?;
    }
    Ok(())
}

type Head = (String, Vec<(String, String)>);

fn read_head(reader: &mut impl io::BufRead) -> io::Result<Option<Head>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(Some((first.trim_end().to_owned(), headers)));
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
}

fn read_body(reader: &mut impl io::BufRead, headers: &[(String, String)]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if let Some(length) = length(headers) {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    } else if headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding")) {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
            let mut chunk = vec![0; size];
            reader.read_exact(&mut chunk)?;
            reader.read_line(&mut line)?;
            if size == 0 {
                break;
            }
            body.extend(chunk);
        }
    }
    Ok(body)
}

fn length(headers: &[(String, String)]) -> Option<usize> {
    let (_, value) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    value.parse().ok()
}

fn is_hop(name: &str) -> bool {
    ["connection", "keep-alive", "content-length", "transfer-encoding", "expect"]
        .iter()
        .any(|hop| name.eq_ignore_ascii_case(hop))
}
