//! The columns of a CSV file, bounded before anything of it is kept: a line of commas is a million columns.
use super::error::ApiError;
use crate::domain::FieldError;
use crate::domain::limits::MAX_BULK;
use crate::domain::names::is_repeatable;
use crate::domain::problem::pointer_to;
use csv_core::{ReadFieldResult, ReaderBuilder};

/// The most columns of a file. Those after them are ignored, and named.
const MAX_COLUMNS: usize = 256;
/// How many of the ignored columns are named.
const MAX_NAMED: usize = 10;
/// The most bytes kept of a column's name; no known one is as long.
const MAX_NAME: usize = 256;

/// The names in the first line of a file, trimmed and in lower case.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    /// Up to [`MAX_COLUMNS`].
    pub shown: Vec<String>,
    /// The first of those after them.
    ignored: Vec<String>,
    /// How many columns there are.
    count: usize,
}

/// Reads the names of the columns, and checks that the rows can be read, too.
///
/// # Errors
/// 422 if there are more than [`MAX_BULK`] rows, or a row has more than [`MAX_COLUMNS`] fields.
pub(super) fn of(bytes: &[u8]) -> Result<Columns, ApiError> {
    read(bytes, b',', MAX_BULK)
}

/// Checks that a file with this separator can be kept row by row. Rows are not counted, because empty ones are left out later.
///
/// # Errors
/// 422 if there are more than [`MAX_COLUMNS`] columns, or a row has more fields.
pub(super) fn check_width(bytes: &[u8], separator: u8) -> Result<(), ApiError> {
    let columns = read(bytes, separator, usize::MAX)?;
    if columns.count > MAX_COLUMNS { Err(ApiError::invalid(vec![columns.too_many()])) } else { Ok(()) }
}

fn read(bytes: &[u8], separator: u8, most_rows: usize) -> Result<Columns, ApiError> {
    let mut columns = Columns::default();
    let (mut reader, mut rest) = (ReaderBuilder::new().delimiter(separator).build(), bytes);
    let (mut name, mut buffer) = (Vec::new(), [0; MAX_NAME]);
    // In the header, `fields` counts columns.
    let (mut records, mut fields) = (0_usize, 0);
    loop {
        let (result, read, written) = reader.read_field(rest, &mut buffer);
        rest = rest.get(read..).unwrap_or_default();
        if records == 0 && name.len() < MAX_NAME {
            name.extend(buffer.iter().take(written));
        }
        match result {
            // At the end of the input the reader is asked once more, for the last field.
            ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => continue,
            ReadFieldResult::End => return Ok(columns),
            ReadFieldResult::Field { record_end } => {
                fields += 1;
                if records == 0 {
                    columns.add(&String::from_utf8_lossy(&std::mem::take(&mut name)));
                } else if fields > MAX_COLUMNS {
                    let row = records - 1;
                    return Err(ApiError::field(format!("/{row}"), format!("may have at most {MAX_COLUMNS} fields")));
                }
                if record_end {
                    (records, fields) = (records + 1, 0);
                }
                if records.saturating_sub(1) > most_rows {
                    return Err(ApiError::field("", format!("may have at most {MAX_BULK} rows; send them in parts")));
                }
            }
        }
    }
}

impl Columns {
    fn add(&mut self, name: &str) {
        self.count += 1;
        let name = name.trim().to_ascii_lowercase();
        if self.shown.len() < MAX_COLUMNS {
            self.shown.push(name);
        } else if self.ignored.len() < MAX_NAMED {
            self.ignored.push(name);
        }
    }

    /// The columns after the first [`MAX_COLUMNS`], named as far as that is safe and short.
    fn too_many(&self) -> FieldError {
        let names = self.ignored.iter().filter(|name| is_repeatable(name)).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if names.is_empty() { String::new() } else { format!(", such as {names}") };
        let detail = format!("has {} columns; those after the first {MAX_COLUMNS} are ignored{more}", self.count);
        FieldError::new("", detail)
    }
}

/// Checks that the required columns are there, once, and no others than the known ones; `unknown` is what is wrong with others.
///
/// # Errors
/// 422 with every column that is missing, repeated or unknown.
pub(super) fn check(columns: &Columns, required: &[&str], known: &[&str], unknown: &str) -> Result<(), ApiError> {
    let mut errors = Vec::new();
    for required in required.iter().filter(|required| columns.shown.iter().all(|name| name != *required)) {
        errors.push(FieldError::new(format!("/{required}"), "is required as a column, named in the first line"));
    }
    for (index, name) in columns.shown.iter().enumerate() {
        if !required.contains(&name.as_str()) && !known.contains(&name.as_str()) {
            errors.push(FieldError::named("", "column", name, unknown));
        } else if columns.shown.iter().take(index).any(|earlier| earlier == name) {
            errors.push(FieldError::new(pointer_to(name), "names more than one column"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        of(text.as_bytes()).unwrap().shown
    }

    #[test]
    fn the_first_line_names_the_columns() {
        assert_eq!(names("\n SKU ,\"external\n_id\",\nA,a,\n"), ["sku", "external\n_id", ""]);
        assert_eq!(names("sku"), ["sku"]);
        assert_eq!(names("sku\r\n"), ["sku"]);
        assert_eq!(names(""), [""; 0]);
        assert_eq!(names(&format!("{},b", "x".repeat(10_000)))[1], "b");
    }

    #[test]
    fn columns_rows_and_fields_are_bounded() {
        let header = |count: usize| (0..count).map(|i| format!("col-{i}")).collect::<Vec<_>>().join(",");
        let most = of(header(MAX_COLUMNS).as_bytes()).unwrap();
        assert_eq!((most.shown.len(), most.count), (MAX_COLUMNS, MAX_COLUMNS));
        let wide = of(header(100_000).as_bytes()).unwrap();
        assert_eq!((wide.shown.len(), wide.ignored.len(), wide.count), (MAX_COLUMNS, MAX_NAMED, 100_000));
        assert_eq!(check(&wide, &["sku"], &[], "is unknown").unwrap_err().errors().len(), 100);
        for separator in [",", ";", "\t"] {
            let text = header(100_000).replace(',', separator);
            let error = check_width(text.as_bytes(), separator.as_bytes()[0]).unwrap_err();
            let said = &error.errors()[0].detail;
            assert!(said.starts_with("has 100000 columns; those after the first 256 are ignored, such as col-256, col-257, "), "{said}");
        }
        let row = format!("sku\n1\n{}\n", ",".repeat(MAX_COLUMNS));
        assert_eq!(of(row.as_bytes()).unwrap_err().errors()[0].pointer, "/1");
        assert!(of(format!("sku\n{}", "1\n".repeat(MAX_BULK)).as_bytes()).is_ok());
        assert!(of(format!("sku\n{}", "1\n".repeat(MAX_BULK + 1)).as_bytes()).is_err());
    }
}
