//! A cursor in a list that sorts itself anew, grows and shrinks: it stays on its item, not at its place.

/// Which item is chosen, and how far the list is scrolled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The item's identity; `None` before anything was chosen: the first one.
    id: Option<String>,
    /// Where it was last, for when it vanishes.
    at: usize,
    offset: usize,
}

impl Cursor {
    /// Chooses an item.
    pub fn choose(&mut self, id: &str) {
        self.id = Some(id.to_owned());
    }

    /// The chosen item's identity, if one was chosen.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Where the cursor stands among these; `None` when there are none.
    pub fn index(&self, ids: &[&str]) -> Option<usize> {
        let found = self.id.as_deref().and_then(|id| ids.iter().position(|other| *other == id));
        found.or_else(|| ids.len().checked_sub(1).map(|last| self.at.min(last)))
    }

    /// The first row to draw so that the cursor is on one of `height` rows.
    pub fn offset(&self, index: usize, rows: usize, height: usize) -> usize {
        let least = (index + 1).saturating_sub(height);
        self.offset.clamp(least, index.max(least)).min(rows.saturating_sub(height).max(least))
    }

    /// Moves by so many rows, and scrolls as little as it must.
    pub fn step(&mut self, ids: &[&str], by: isize, height: usize) {
        let Some(index) = self.index(ids) else { return };
        let index = index.saturating_add_signed(by).min(ids.len() - 1);
        self.id = Some(ids[index].to_owned());
        self.at = index;
        self.offset = self.offset(index, ids.len(), height);
    }

    /// To a row, as by a click.
    pub fn to(&mut self, ids: &[&str], index: usize, height: usize) {
        if let Some(at) = self.index(ids) {
            self.step(ids, index as isize - at as isize, height);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_on_its_item_when_the_order_changes() {
        let mut cursor = Cursor::default();
        cursor.step(&["a", "b", "c"], 1, 10);
        assert_eq!(cursor.id(), Some("b"));
        assert_eq!(cursor.index(&["c", "a", "b"]), Some(2));
    }

    #[test]
    fn a_vanished_item_leaves_the_cursor_near_its_place() {
        let mut cursor = Cursor::default();
        cursor.step(&["a", "b", "c"], 2, 10);
        assert_eq!(cursor.index(&["a", "b"]), Some(1));
        assert_eq!(cursor.index(&[]), None);
    }

    #[test]
    fn the_cursor_is_always_visible() {
        let ids: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut cursor = Cursor::default();
        for by in [1, 30, -3, 100, -7, -100, 20] {
            cursor.step(&ids, by, 10);
            for height in [1, 3, 10, 60] {
                let index = cursor.index(&ids).expect("rows");
                let offset = cursor.offset(index, ids.len(), height);
                assert!((offset..offset + height).contains(&index), "{offset} {index} {height}");
            }
        }
    }

    #[test]
    fn scrolling_moves_no_more_than_it_must() {
        let ids = ["a", "b", "c", "d", "e", "f"];
        let mut cursor = Cursor::default();
        cursor.step(&ids, 4, 3);
        assert_eq!(cursor.offset(4, 6, 3), 2);
        cursor.step(&ids, -1, 3);
        assert_eq!(cursor.offset(3, 6, 3), 2, "still in sight, so nothing scrolls");
    }
}
