//! What to count on each row of a result, once the server has said where its columns come from.

use super::Binding;
use super::expose::packed_bytes;
use crate::exposure::{Exposed, Exposure, Lane, LaneKey, MESSAGE_WORDS_BYTES, Manner, Origin, Weight};

impl Binding {
    /// What to count on each row of a result with these columns; none known when `origins` is empty (COPY).
    pub fn lanes(&self, exposure: &Exposure, origins: &[Origin]) -> Vec<Lane> {
        let traced: Vec<Origin> = origins.iter().map(|origin| self.traced(*origin)).collect();
        lanes(exposure, &traced)
    }
}

/// What to count on each row, with the columns traced to the relations that they come from.
pub(crate) fn lanes(exposure: &Exposure, origins: &[Origin]) -> Vec<Lane> {
    let leaving = exposure.touched.iter().filter(|exposed| exposed.manner != Manner::Used);
    leaving
        .filter(|exposed| exposed.reads > 0 || exposed.manner == Manner::Packed)
        .map(|exposed| lane(exposed, origins))
        .collect()
}

fn lane(exposed: &Exposed, origins: &[Origin]) -> Lane {
    let place = |attribute: &i16| {
        let of = |origin: &Origin| exposed.oid != 0 && origin.oid == exposed.oid && origin.attribute == *attribute;
        origins.iter().position(of)
    };
    let visible = exposed.key.as_ref().and_then(|key| key.iter().map(place).collect::<Option<Vec<usize>>>());
    // The server's own value first: the text may spell a key in several ways.
    let key = match (visible, &exposed.pin) {
        (Some(columns), _) => LaneKey::Columns(columns),
        (None, Some(pin)) => LaneKey::Pinned(pin.clone()),
        (None, None) => LaneKey::Unkeyed,
    };
    let weight = match exposed.manner {
        Manner::Packed => Weight::Bytes { record_bytes: exposed.record_bytes },
        Manner::Told => Weight::Message {
            one_bytes: MESSAGE_WORDS_BYTES.saturating_add(exposed.record_bytes),
            record_bytes: packed_bytes(exposed.record_bytes, exposed.columns.len()),
        },
        _ if exposed.reads > 1 => Weight::Many { records: exposed.reads },
        _ => Weight::Row,
    };
    Lane { dataset: exposed.dataset.clone(), relation: exposed.relation.clone(), key, weight }
}
