//! PostgreSQL messages of a client, byte by byte, and a reader of frames.
//!
//! Builders take what they are told: a test may ask for a frame that no sane client would send.

/// One message: tag and body without the length.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// First byte.
    pub tag: u8,
    /// What stands after the length.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.body[..self.body.len().min(200)];
        write!(f, "{}[{}] {}", char::from(self.tag), self.body.len(), shown.escape_ascii())
    }
}

impl Message {
    /// Its bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        frame(self.tag, &self.body)
    }
}

/// A frame with a true length.
pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    frame_claiming(tag, i32::try_from(body.len() + 4).expect("a test frame below 2 GiB"), body)
}

/// A frame whose length field says `length`, whatever `body` is.
pub fn frame_claiming(tag: u8, length: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 5);
    bytes.push(tag);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Start-up packet of protocol 3.0 with exactly these fields, in this order, duplicates and all.
pub fn startup(fields: &[(&str, &str)]) -> Vec<u8> {
    startup_version(196_608, fields)
}

/// Start-up packet of any protocol version.
pub fn startup_version(version: i32, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in fields {
        cstring(&mut body, name);
        cstring(&mut body, value);
    }
    body.push(0);
    untagged(&body)
}

/// A packet without a tag: length and body, as SSLRequest, CancelRequest and StartupMessage are.
pub fn untagged(body: &[u8]) -> Vec<u8> {
    let mut bytes = i32::try_from(body.len() + 4).expect("small").to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

/// SSLRequest.
pub fn ssl_request() -> Vec<u8> {
    untagged(&80_877_103_i32.to_be_bytes())
}

/// GSSENCRequest.
pub fn gss_request() -> Vec<u8> {
    untagged(&80_877_104_i32.to_be_bytes())
}

/// CancelRequest.
pub fn cancel_request(pid: i32, secret: &[u8]) -> Vec<u8> {
    let mut body = 80_877_102_i32.to_be_bytes().to_vec();
    body.extend_from_slice(&pid.to_be_bytes());
    body.extend_from_slice(secret);
    untagged(&body)
}

/// Simple query.
pub fn query(sql: &str) -> Vec<u8> {
    let mut body = Vec::new();
    cstring(&mut body, sql);
    frame(b'Q', &body)
}

/// Parse without parameter types.
pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    let mut body = Vec::new();
    cstring(&mut body, name);
    cstring(&mut body, sql);
    body.extend_from_slice(&0_i16.to_be_bytes());
    frame(b'P', &body)
}

/// Bind with text parameters and results in `format` (0 text, 1 binary).
pub fn bind(portal: &str, statement: &str, parameters: &[&str], format: i16) -> Vec<u8> {
    let mut body = Vec::new();
    cstring(&mut body, portal);
    cstring(&mut body, statement);
    body.extend_from_slice(&0_i16.to_be_bytes());
    body.extend_from_slice(&i16::try_from(parameters.len()).expect("few").to_be_bytes());
    for parameter in parameters {
        body.extend_from_slice(&i32::try_from(parameter.len()).expect("small").to_be_bytes());
        body.extend_from_slice(parameter.as_bytes());
    }
    body.extend_from_slice(&1_i16.to_be_bytes());
    body.extend_from_slice(&format.to_be_bytes());
    frame(b'B', &body)
}

/// Describe of a statement (`S`) or portal (`P`).
pub fn describe(what: u8, name: &str) -> Vec<u8> {
    let mut body = vec![what];
    cstring(&mut body, name);
    frame(b'D', &body)
}

/// Execute with a row limit (0: none).
pub fn execute(portal: &str, rows_max: i32) -> Vec<u8> {
    let mut body = Vec::new();
    cstring(&mut body, portal);
    body.extend_from_slice(&rows_max.to_be_bytes());
    frame(b'E', &body)
}

/// Close of a statement (`S`) or portal (`P`).
pub fn close(what: u8, name: &str) -> Vec<u8> {
    let mut body = vec![what];
    cstring(&mut body, name);
    frame(b'C', &body)
}

/// Sync.
pub fn sync() -> Vec<u8> {
    frame(b'S', b"")
}

/// Flush.
pub fn flush() -> Vec<u8> {
    frame(b'H', b"")
}

/// Terminate.
pub fn terminate() -> Vec<u8> {
    frame(b'X', b"")
}

/// CopyData.
pub fn copy_data(data: &[u8]) -> Vec<u8> {
    frame(b'd', data)
}

/// CopyDone.
pub fn copy_done() -> Vec<u8> {
    frame(b'c', b"")
}

/// CopyFail.
pub fn copy_fail(why: &str) -> Vec<u8> {
    let mut body = Vec::new();
    cstring(&mut body, why);
    frame(b'f', &body)
}

/// FunctionCall of the function with this OID and one text argument.
pub fn function_call(oid: u32, argument: &str) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    body.extend_from_slice(&0_i16.to_be_bytes());
    body.extend_from_slice(&1_i16.to_be_bytes());
    body.extend_from_slice(&i32::try_from(argument.len()).expect("small").to_be_bytes());
    body.extend_from_slice(argument.as_bytes());
    body.extend_from_slice(&0_i16.to_be_bytes());
    frame(b'F', &body)
}

/// Parse + Bind + Execute of the unnamed statement, without Sync.
pub fn extended(sql: &str, parameters: &[&str]) -> Vec<u8> {
    [parse("", sql), bind("", "", parameters, 0), execute("", 0)].concat()
}

/// Splits recorded bytes into whole tagged messages; panics on a torn end, which no recording of a finished
/// session has.
pub fn split(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        assert!(bytes.len() >= 5, "a frame torn in its header: {}", bytes.escape_ascii());
        let length = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
        assert!(length >= 4 && bytes.len() > length, "a frame torn in its body: {}", bytes[..5].escape_ascii());
        messages.push(Message { tag: bytes[0], body: bytes[5..=length].to_vec() });
        bytes = &bytes[length + 1..];
    }
    messages
}

fn cstring(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(text.as_bytes());
    body.push(0);
}
