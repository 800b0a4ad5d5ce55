//! The Merkle tree over all records (RFC 6962 hashing), kept as its rightmost edge only.
//!
//! The edge is one hash for each bit that is set in the size, so the tree of any log fits in 64 hashes: enough to append
//! and to say the root, which is all that writer and verifier need.

use aws_lc_rs::digest::{SHA256, digest};

/// A SHA-256 hash.
pub(crate) type Hash = [u8; 32];

/// The tree over `size` records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    size: u64,
    /// Roots of the perfect subtrees, largest first.
    edge: Vec<Hash>,
}

impl Tree {
    /// From a size and its edge, as a segment header holds them; `None` when they do not fit together.
    pub(crate) fn from_parts(size: u64, edge: Vec<Hash>) -> Option<Tree> {
        (usize::try_from(size.count_ones()).ok()? == edge.len()).then_some(Tree { size, edge })
    }

    pub(crate) fn push(&mut self, payload: &[u8]) {
        let mut hash = leaf(payload);
        // Each trailing one of the size is a perfect subtree that the new leaf completes.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                hash = node(&left, &hash);
            }
        }
        self.edge.push(hash);
        self.size += 1;
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn edge(&self) -> &[Hash] {
        &self.edge
    }

    pub(crate) fn root(&self) -> Hash {
        let mut hashes = self.edge.iter().rev();
        match hashes.next() {
            None => hash(&[]),
            Some(last) => hashes.fold(*last, |right, left| node(left, &right)),
        }
    }
}

/// The hash of one record.
pub(crate) fn leaf(payload: &[u8]) -> Hash {
    hash(&[&[0], payload])
}

fn node(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut out = Hash::default();
    match parts {
        [] => out.copy_from_slice(digest(&SHA256, &[]).as_ref()),
        parts => {
            let mut context = aws_lc_rs::digest::Context::new(&SHA256);
            for part in parts {
                context.update(part);
            }
            out.copy_from_slice(context.finish().as_ref());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition in RFC 6962 section 2.1, word by word.
    fn defined(leaves: &[Vec<u8>]) -> Hash {
        match leaves.len() {
            0 => hash(&[]),
            1 => hash(&[&[0], &leaves[0]]),
            n => {
                let k = n.next_power_of_two() / 2;
                node(&defined(&leaves[..k]), &defined(&leaves[k..]))
            }
        }
    }

    #[test]
    fn agrees_with_the_definition_at_every_size() {
        let leaves: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; usize::from(n % 7)]).collect();
        let mut tree = Tree::default();
        for n in 0..leaves.len() {
            assert_eq!(tree.root(), defined(&leaves[..n]), "size {n}");
            assert_eq!(Tree::from_parts(tree.size(), tree.edge().to_vec()).as_ref(), Some(&tree));
            tree.push(&leaves[n]);
        }
        assert_eq!(Tree::from_parts(3, vec![Hash::default()]), None);
    }

    #[test]
    fn agrees_with_published_roots() {
        // From the test vectors that Certificate Transparency implementations share: leaves "", 00, 10.
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let mut tree = Tree::default();
        assert_eq!(hex(tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        tree.push(b"");
        assert_eq!(hex(tree.root()), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        tree.push(&[0]);
        assert_eq!(hex(tree.root()), "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
        tree.push(&[0x10]);
        assert_eq!(hex(tree.root()), "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77");
    }
}
