// SPDX-License-Identifier: Apache-2.0
//! Tables for people.

/// How a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// At its left, as texts do.
    Left,
    /// At its right, as numbers do.
    Right,
}

/// A table whose columns are as wide as their widest cell. The last column is not padded.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as text. `paint` colours a cell that is padded already, by column.
    pub(crate) fn render(&self, paint: impl Fn(usize, &str) -> String) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            longest.max(self.columns[column].0.len())
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>,
                    paint: &dyn Fn(usize, &str) -> String| {
            let padded: Vec<String> = cells
                .zip(&self.columns)
                .enumerate()
                .map(|(column, (cell, (_, align)))| {
                    let width = widths[column];
                    let text = match align {
                        Align::Right => format!("{cell:>width$}"),
                        Align::Left if column + 1 == self.columns.len() => cell.to_owned(),
                        Align::Left => format!("{cell:width$}"),
                    };
                    paint(column, &text)
                })
                .collect();
            padded.join("  ") + "\n"
        };
        let mut text = line(
            &mut self.columns.iter().map(|(title, _)| *title),
            &|_, cell| cell.to_owned(),
        );
        for row in &self.rows {
            text += &line(&mut row.iter().map(String::as_str), &paint);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed() {
        let mut table = Table::new(&[
            ("ID", Align::Right),
            ("NAME", Align::Left),
            ("X", Align::Left),
        ]);
        table.row(vec!["1".into(), "ä long one".into(), "x".into()]);
        table.row(vec!["1000".into(), "b".into(), "-".into()]);
        let text = table.render(|column, cell| {
            if column == 0 {
                format!("<{cell}>")
            } else {
                cell.to_owned()
            }
        });
        assert_eq!(
            text,
            "  ID  NAME        X\n<   1>  ä long one  x\n<1000>  b           -\n"
        );
    }
}
