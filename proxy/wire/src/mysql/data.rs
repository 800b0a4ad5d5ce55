//! What a result is made of: column definitions, then rows, in runs as long as the buffer has them.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html>
//!
//! What must never happen here: a row is taken for the end of a result, or the end for a row. Both may begin with 0xFE;
//! the length of the first packet tells them apart.

use std::sync::Arc;

use super::capability::Capabilities;
use super::engine::{Heard, Kind, MysqlEngine, Phase, Rest, Voice};
use super::error::{EOF, ERR, STATUS_CURSOR_EXISTS};
use super::packet::{Fields, HEADER_LEN, Header, KIND_UNKNOWN, Packet, Scan};
use super::resultset::{COLUMNS_MAX, Format, ResultShape};
use super::upstream::{CLASSIC_EOF_BYTES_MAX, Step, classic_status, malformed, unexpected};
use crate::refusal::{WireError, WireSide};
use crate::step::{Execution, Prepared, UpstreamStep};

impl<S: Prepared, X: Execution> MysqlEngine<S, X> {
    pub(super) fn column_count(&mut self, format: Format, payload: &[u8], len: usize) -> Step<X> {
        let mut fields = Fields::new(payload);
        // What followed the count would be about definitions that are left out, which is not agreed on.
        let count = fields.lenenc().filter(|count| fields.is_done() && (1..=COLUMNS_MAX).contains(count));
        let count = count.and_then(|count| usize::try_from(count).ok()).ok_or(malformed("count of columns"))?;
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        let wanted = reply.run.as_ref().is_some_and(|run| run.wants_shape() || !run.streams());
        let shape = (wanted || reply.wants_cursor).then(|| ResultShape::new(format));
        reply.phase = Phase::Columns(count, shape);
        Ok(self.visible(len))
    }

    /// Column definitions, or the error in their place.
    pub(super) fn columns(&mut self, input: &[u8], left: usize, to_upstream: &mut Vec<u8>) -> Step<X> {
        if input.get(HEADER_LEN) == Some(&ERR) {
            return self.defined(input, left, to_upstream);
        }
        let heard = self.heard.take();
        if heard.is_none()
            && let Some((len, told)) = self.told_columns(input, left)
        {
            return Ok(UpstreamStep::Told { len, told });
        }
        let step = self.defined(input, left, to_upstream)?;
        Ok(if heard == Some(Heard::Otherwise) { step.unheard() } else { step })
    }

    fn defined(&mut self, input: &[u8], left: usize, to_upstream: &mut Vec<u8>) -> Step<X> {
        let max = self.limits.frame_bytes_max;
        let extended = self.facts.mariadb && self.has(Capabilities::EXTENDED_METADATA);
        let deprecated = self.has(Capabilities::DEPRECATE_EOF);
        let mut left = left;
        let mut len = 0;
        while left > 0 {
            let packet = match Packet::scan(input.get(len..).unwrap_or(&[]), max, WireSide::Upstream) {
                Ok(Scan::Whole(packet)) => packet,
                Ok(Scan::More(need)) if len == 0 => return Ok(UpstreamStep::More(need)),
                Err(error) if len == 0 => return Err(error),
                // Tells again at its own step.
                Ok(Scan::More(_)) | Err(_) => break,
            };
            let payload = packet.payload();
            if payload.first() == Some(&ERR) {
                if len > 0 {
                    break;
                }
                return self.packet(&packet, to_upstream);
            }
            let Some(reply) = self.front() else { break };
            if let Phase::Columns(_, Some(shape)) = &mut reply.phase
                && shape.read_column(&payload, extended).is_none()
            {
                if len > 0 {
                    break;
                }
                return Err(malformed("column definition"));
            }
            reply.seq = packet.seq_last.wrapping_add(1);
            len += packet.frame_len;
            left -= 1;
        }
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        let Phase::Columns(_, shape) = std::mem::replace(&mut reply.phase, Phase::Rows) else {
            return Err(unexpected("no definitions are due"));
        };
        if left > 0 {
            reply.phase = Phase::Columns(left, shape);
            return Ok(self.visible(len));
        }
        reply.shape = shape.map(Arc::new);
        if !deprecated {
            reply.phase = Phase::ColumnsEnd;
            return Ok(self.visible(len));
        }
        Ok(self.shape(len))
    }

    /// The columns of a result are known.
    fn shape(&mut self, len: usize) -> UpstreamStep<'static, X> {
        match self.front() {
            Some(reply) if reply.is_heard() && reply.shape.is_some() => UpstreamStep::Shape(len),
            _ => self.visible(len),
        }
    }

    pub(super) fn columns_end(&mut self, payload: &[u8], len: usize, to_upstream: &mut Vec<u8>) -> Step<X> {
        let status = classic_status(payload).ok_or(malformed("end of column definitions"))?;
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        if reply.wants_cursor && status & STATUS_CURSOR_EXISTS != 0 {
            return self.result_ends(payload, len, to_upstream);
        }
        reply.phase = Phase::Rows;
        Ok(self.shape(len))
    }

    /// A run of rows, or what ends them.
    pub(super) fn rows(&mut self, input: &[u8], to_upstream: &mut Vec<u8>) -> Step<X> {
        let max = self.limits.frame_bytes_max;
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        let binary = matches!(reply.kind, Kind::Results(Format::Binary) | Kind::Fetch);
        let is_stream = reply.kind == Kind::Stream;
        // Not the first of a result which somebody wants to review: that may lead to its being counted.
        let in_pieces = !reply.is_heard()
            || reply.run.as_ref().is_none_or(|run| run.streams() && (reply.has_begun || !run.wants_shape()));
        let mut seq = reply.seq;
        let mut len = 0;
        let mut rows = 0;
        let mut need = 0;
        loop {
            let rest = input.get(len..).unwrap_or(&[]);
            let header = match Header::read_from(rest, max, WireSide::Upstream) {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(error) if len == 0 => return Err(error),
                // A header that cannot be ends the session at its own step: the rows before it are whole.
                Err(_) => break,
            };
            let Some(first) = rest.get(HEADER_LEN).copied().filter(|_| header.payload_len > 0) else {
                if header.payload_len == 0 && len == 0 {
                    return Err(malformed("row without a value"));
                }
                break;
            };
            let ends = if is_stream {
                first == EOF && header.payload_len < CLASSIC_EOF_BYTES_MAX
            } else {
                self.is_end(first, header.payload_len)
            };
            if ends || first == ERR {
                if len > 0 {
                    break;
                }
                return self.rows_end(input, to_upstream);
            }
            if binary && first != 0 {
                if len > 0 {
                    break;
                }
                return Err(malformed("binary row"));
            }
            if in_pieces {
                // Counted at its header: a row that has begun to leave has left.
                rows += 1;
                seq = header.seq.wrapping_add(1);
                let part = header.frame_len.min(rest.len());
                len += part;
                let left = header.frame_len - part;
                if left > 0 || header.is_continued() {
                    let is_continued = header.is_continued();
                    self.upstream_rest = Some(Rest { len: left, is_continued, payload_len: header.payload_len });
                    break;
                }
                continue;
            }
            match Packet::scan(rest, max, WireSide::Upstream) {
                Ok(Scan::Whole(packet)) => {
                    rows += 1;
                    len += packet.frame_len;
                    seq = packet.seq_last.wrapping_add(1);
                }
                Ok(Scan::More(more)) => {
                    need = more;
                    break;
                }
                Err(error) if len == 0 => return Err(error),
                Err(_) => break,
            }
        }
        if len == 0 {
            return Ok(UpstreamStep::More(need));
        }
        let cursor = self.cursor();
        let Some(reply) = self.front() else { return Err(unexpected("no reply is due")) };
        reply.seq = seq;
        reply.has_begun = true;
        if reply.shape.is_none() {
            reply.shape = cursor;
        }
        Ok(if reply.is_heard() { UpstreamStep::Rows { len, rows } } else { UpstreamStep::Swallow(len) })
    }

    /// Columns of the cursor that is being read.
    fn cursor(&mut self) -> Option<Arc<ResultShape>> {
        let (serial, _) = self.front().filter(|reply| reply.kind == Kind::Fetch)?.statement?;
        self.statements.get(serial)?.cursor.clone()
    }

    /// More of a row that is passing in pieces.
    pub(super) fn rest(&mut self, input: &[u8], rest: Rest) -> Step<X> {
        let mut rest = rest;
        let max = self.limits.frame_bytes_max;
        if rest.len == 0 {
            let Some(header) = Header::read_from(input, usize::MAX, WireSide::Upstream)? else {
                return Ok(UpstreamStep::More(0));
            };
            let payload_len = rest.payload_len.saturating_add(header.payload_len);
            if payload_len > max {
                let side = WireSide::Upstream;
                return Err(WireError::TooLong { side, kind: KIND_UNKNOWN, length: payload_len, max });
            }
            let Some(reply) = self.front().filter(|reply| reply.seq == header.seq) else {
                return Err(malformed("continuation out of order"));
            };
            reply.seq = header.seq.wrapping_add(1);
            rest = Rest { len: header.frame_len, is_continued: header.is_continued(), payload_len };
        }
        if input.is_empty() {
            return Ok(UpstreamStep::More(0));
        }
        let len = rest.len.min(input.len());
        rest.len -= len;
        self.upstream_rest = (rest.len > 0 || rest.is_continued).then_some(rest);
        // A row that has begun to leave goes on, also when it was cut meanwhile.
        let silent = self.front().is_some_and(|reply| matches!(reply.voice, Voice::Silent | Voice::Injected));
        Ok(if silent { UpstreamStep::Swallow(len) } else { UpstreamStep::Rows { len, rows: 0 } })
    }
}
