//! Memory for large bodies that came packed, most of which are looked at once and go on packed. It lies in pages of its own:
//! an allocator keeps what was large, and has a heap for each thread that once had it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use memmap2::MmapMut;

/// What is kept for the next body has room for this many bytes. Pages that nothing was written to take no memory.
const ROOM: usize = 8 << 20;

/// How many such are kept.
const KEPT: usize = 2;

/// Pages that are free.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pages(Arc<Mutex<Vec<MmapMut>>>);

/// Some that are in use; free again when it is dropped.
struct Room {
    /// None when it is being dropped.
    map: Option<MmapMut>,
    size: usize,
    of: Pages,
}

impl Pages {
    /// So many bytes that `fill` has written all of: what they held before is of another body. None where it says that it
    /// has not.
    pub(crate) fn filled(&self, size: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Option<Bytes> {
        let mut room = Room { map: self.take(size), size, of: self.clone() };
        let filled = room.map.as_mut()?.get_mut(..size).is_some_and(fill);
        filled.then(|| Bytes::from_owner(room))
    }

    fn take(&self, size: usize) -> Option<MmapMut> {
        let kept = if size <= ROOM { self.kept().pop() } else { None };
        kept.or_else(|| MmapMut::map_anon(size.max(ROOM)).ok())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<MmapMut>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for Room {
    fn as_ref(&self) -> &[u8] {
        self.map.as_deref().and_then(|map| map.get(..self.size)).unwrap_or_default()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Some(map) = self.map.take().filter(|map| map.len() == ROOM) else { return };
        let mut kept = self.of.kept();
        if kept.len() < KEPT {
            kept.push(map);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pages: &Pages, size: usize, byte: u8) -> Bytes {
        let filled = pages.filled(size, |bytes| {
            bytes.fill(byte);
            true
        });
        filled.unwrap()
    }

    #[test]
    fn what_is_in_use_is_nobody_elses() {
        let pages = Pages::default();
        let all: Vec<Bytes> = (0..5).map(|byte| filled(&pages, 1 << 20, byte)).collect();
        for (byte, bytes) in (0..).zip(&all) {
            assert!(bytes.len() == 1 << 20 && bytes.iter().all(|other| *other == byte), "{byte}");
        }
        let part = all[3].slice(10..20);
        drop(all);
        let next = filled(&pages, 1 << 20, 9);
        assert_eq!(part, [3; 10].as_slice());
        assert!(next.iter().all(|byte| *byte == 9));
    }

    #[test]
    fn a_few_are_kept_and_no_large_ones() {
        let pages = Pages::default();
        let all: Vec<Bytes> = (0..4).map(|_| filled(&pages, ROOM, 1)).collect();
        assert_eq!(pages.kept().len(), 0);
        drop(all);
        assert_eq!(pages.kept().len(), KEPT);
        let large = filled(&pages, ROOM + 1, 2);
        assert_eq!((large.len(), pages.kept().len()), (ROOM + 1, KEPT));
        drop(large);
        assert_eq!(pages.kept().len(), KEPT);
        assert_eq!(pages.filled(5, |_| false), None);
        assert_eq!(pages.kept().len(), KEPT);
    }
}
