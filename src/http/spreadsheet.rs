//! CSV files as spreadsheet programs write and read them: UTF-16, semicolons or tabs between the cells, a line `sep=;`,
//! formulas such as `="00123"` that keep a number as text, empty rows, empty columns, and what such a program does to an id.
use super::columns;
use super::error::ApiError;
use csv::{ByteRecord, ReaderBuilder, Writer, WriterBuilder};
use std::borrow::Cow;

/// Rows looked at; a request with more is refused later.
const MAX_ROWS: usize = crate::domain::limits::MAX_BULK + 1;
/// Numbers with more digits than this are shortened by spreadsheet programs: `4.47812E+13`.
const SHOWN_DIGITS: usize = 11;

/// What a byte order mark becomes when a file in UTF-8 is read as Windows-1252. All other letters outside ASCII are garbled in
/// the same way.
const MARK_READ_AS_LATIN: &str = "ï»¿";
/// Spreadsheet programs recognize a month by its first three letters or more.
const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];

/// The file as UTF-8 with commas between the cells, without empty rows and without columns that are empty throughout.
///
/// # Errors
/// 400 if it is UTF-16 that cannot be read or was opened in another encoding than its own, 422 if it has too many columns.
pub(super) fn plain(bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    rewritten(bytes, content)
}

/// As [`plain`], for a form that sends it back to be read again: a cell that would look like a formula once it is unwrapped stays
/// as it is.
///
/// # Errors
/// Those of [`plain`].
pub(super) fn pasteable(bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    rewritten(bytes, |cell| Some(content(cell)).filter(|said| content(said) == *said).unwrap_or(cell.into()))
}

/// What the file is, if it is a spreadsheet's own file instead of text.
pub(super) fn spreadsheet_file(bytes: &[u8]) -> Option<&'static str> {
    let contains = |text: &str| bytes.get(..4096).unwrap_or(bytes).windows(text.len()).any(|part| part == text.as_bytes());
    match bytes {
        [b'P', b'K', 3, 4, ..] if contains("opendocument.spreadsheet") => Some("an OpenDocument spreadsheet (.ods)"),
        [b'P', b'K', 3, 4, ..] if contains("[Content_Types].xml") || contains("xl/") => Some("an Excel workbook (.xlsx)"),
        [b'P', b'K', 3, 4, ..] => Some("a ZIP file, such as .xlsx or .ods"),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Some("an old Excel workbook (.xls)"),
        _ => None,
    }
}

fn rewritten(bytes: &[u8], says: fn(&[u8]) -> Cow<'_, [u8]>) -> Result<Vec<u8>, ApiError> {
    if let Some(what) = spreadsheet_file(bytes) {
        return Err(ApiError::malformed(format!(
            "This is {what}, not CSV. In the spreadsheet program, choose \"Save as\", then \"CSV UTF-8\", and send that file."
        )));
    }
    let text = utf_8(bytes).map_err(ApiError::malformed)?;
    if text.starts_with(MARK_READ_AS_LATIN.as_bytes()) {
        return Err(ApiError::malformed(
            "The letters of this file are damaged: a program opened it in another encoding than UTF-8. Open the original as UTF-8.",
        ));
    }
    let (separator, text) = separator(&text);
    // Before anything of it is kept.
    columns::check_width(text, separator)?;
    let mut used: Vec<bool> = Vec::new();
    let mut rows = 0;
    each_row(text, separator, |row| {
        used.resize(used.len().max(row.len()), false);
        used.iter_mut().zip(row).for_each(|(used, cell)| *used |= !cell.is_empty());
        rows += 1;
        rows <= MAX_ROWS
    });
    let mut writer = WriterBuilder::new().flexible(true).from_writer(Vec::with_capacity(text.len()));
    let mut clean = ByteRecord::new();
    let (mut rows, mut written) = (0, Ok(()));
    each_row(text, separator, |row| {
        clean.clear();
        for (_, cell) in used.iter().zip(row).filter(|(used, _)| **used) {
            clean.push_field(&says(cell));
        }
        written = flexible(&mut writer, &clean);
        rows += 1;
        rows <= MAX_ROWS && written.is_ok()
    });
    written.and_then(|()| writer.into_inner().map_err(|_| ())).map_err(|()| ApiError::malformed("The file cannot be read."))
}

/// Writes a row of any length: a row that is too long or too short is reported later, by its number.
fn flexible(writer: &mut Writer<Vec<u8>>, row: &ByteRecord) -> Result<(), ()> {
    row.iter().try_for_each(|cell| writer.write_field(cell)).and_then(|()| writer.write_record(None::<&[u8]>)).map_err(drop)
}

/// Calls `look` with each row that is not empty, its cells trimmed, until it returns false.
fn each_row(text: &[u8], separator: u8, mut look: impl FnMut(&ByteRecord) -> bool) {
    let mut reader = ReaderBuilder::new().delimiter(separator).trim(csv::Trim::All).flexible(true).has_headers(false).from_reader(text);
    let mut row = ByteRecord::new();
    while matches!(reader.read_byte_record(&mut row), Ok(true)) {
        if row.iter().any(|cell| !cell.is_empty()) && !look(&row) {
            return;
        }
    }
}

/// The text in UTF-8, without a byte order mark.
fn utf_8(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let zeros = |odd: usize| bytes.iter().skip(odd).step_by(2).take(32).filter(|byte| **byte == 0).count();
    let half = bytes.len().min(64) / 4;
    let unit: fn([u8; 2]) -> u16 = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => return Ok(rest.into()),
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        // Without a mark: every other byte of mostly Latin text is zero.
        _ if bytes.len() >= 8 && zeros(1) > half && zeros(0) == 0 => u16::from_le_bytes,
        _ if bytes.len() >= 8 && zeros(0) > half && zeros(1) == 0 => u16::from_be_bytes,
        _ => return Ok(bytes.into()),
    };
    let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(unit);
    let text: Result<String, _> = char::decode_utf16(units).collect();
    let text = text.map_err(|_| "The file is UTF-16 that cannot be read. Save it as CSV UTF-8.".to_owned())?;
    Ok(text.trim_start_matches('\u{feff}').as_bytes().to_vec().into())
}

/// What separates the cells, and the text without a first line that says so (`sep=;`). Otherwise it is what the header has.
fn separator(text: &[u8]) -> (u8, &[u8]) {
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    let (line, rest) = text.split_at(end);
    if let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator @ (b',' | b';' | b'\t' | b'|'), ..] = line.trim_ascii_end() {
        return (*separator, rest);
    }
    if line.get(..5) == Some(b"sep=\t") {
        return (b'\t', rest);
    }
    let (mut quoted, mut found) = (false, b',');
    let mut most = 0;
    for candidate in [b',', b';', b'\t'] {
        let count = line.iter().filter(|byte| {
            quoted ^= **byte == b'"';
            **byte == candidate && !quoted
        });
        let count = count.count();
        quoted = false;
        if count > most {
            (found, most) = (candidate, count);
        }
    }
    (found, text)
}

/// What a cell says: a formula that only keeps its text from being taken for a number stands for that text.
fn content(cell: &[u8]) -> Cow<'_, [u8]> {
    match cell.strip_prefix(b"=\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        Some(text) if text.contains(&b'"') => String::from_utf8_lossy(text).replace("\"\"", "\"").into_bytes().into(),
        Some(text) => text.into(),
        None => cell.into(),
    }
}

/// What is wrong with a row whose letters are not UTF-8; the header is line 1.
pub(super) fn other_encoding(line: usize) -> String {
    format!(
        "line {line} has letters that are not UTF-8: the file was probably saved as plain \"CSV\" (Windows-1252). Save it as \"CSV UTF-8\" and \
         import it again"
    )
}

/// Whether a spreadsheet program has shortened a number beyond recognition: `4.47812E+13`.
pub(super) fn is_shortened(text: &str) -> bool {
    let Some((digits, power)) = text.split_once("E+").or_else(|| text.split_once("e+")) else { return false };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    is_digits(whole) && is_digits(fraction) && is_digits(power)
}

/// What is wrong with such a cell.
pub(super) const SHORTENED: &str =
    "is a number that a spreadsheet has shortened; format the column as text, enter the whole number, and save the file again";

/// A cell that a spreadsheet program shows and saves as it is. Text that it would change or run as a formula is written as
/// a formula that only states it, which [`plain`] understands.
pub(super) fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r']);
    if is_formula || is_changed(text) { format!("=\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Whether a spreadsheet program would take the text for a number, a date or a time that it writes in another way, such as
/// `00123`, `1.50`, `3-4`, `1E5` or `MAR1`, or for a truth value.
fn is_changed(text: &str) -> bool {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= SHOWN_DIGITS;
    if text == "0" || (is_number && !text.starts_with('0')) {
        return false;
    }
    let mut words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    let is_of_a_number = |word: &str| {
        let word = word.to_lowercase();
        matches!(word.as_str(), "e" | "a" | "p" | "am" | "pm") || (word.len() > 2 && MONTHS.iter().any(|month| month.starts_with(&word)))
    };
    let is_of_numbers = text.contains(|c: char| c.is_ascii_digit()) && words.all(is_of_a_number);
    is_of_numbers || text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> String {
        String::from_utf8(plain(bytes).unwrap()).unwrap()
    }

    const PLAIN: &str = "sku,external_id\nA,1\n";

    #[test]
    fn separators_marks_and_encodings_of_spreadsheets_are_understood() {
        for text in [
            PLAIN,
            "\u{feff}sku,external_id\r\nA,1\r\n",
            "sku;external_id\nA;1\n",
            "sku\texternal_id\nA\t1\n",
            "sep=;\r\nsku;external_id\r\nA;1\r\n",
            "sep=\t\nsku\texternal_id\nA\t1",
            "\"sku\";\"external_id\"\nA;1",
            "sku,external_id,,\nA,1,,\n,,,\n\n",
            ",sku,,external_id\n,A,,1\n",
            " sku , external_id \n A , 1 ",
        ] {
            assert_eq!(read(text.as_bytes()), PLAIN, "{text:?}");
            let wide = |order: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
            for bytes in [wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
                assert_eq!(read(&bytes), PLAIN, "{text:?}");
            }
        }
        assert_eq!(read("sku;name\n\"A;B\";\"C,D\"\n".as_bytes()), "sku,name\nA;B,\"C,D\"\n");
        assert!(plain(&[0xff, 0xfe, 0x00, 0xd8, b'a', 0]).is_err(), "half a character");
        assert!(plain("ï»¿sku,external_id\nGrÃ¶ÃŸe,1\n".as_bytes()).unwrap_err().detail().contains("UTF-8"));
        assert_eq!(plain(b"sku,external_id\n\xff\xfe,x\n").unwrap(), b"sku,external_id\n\xff\xfe,x\n", "left for the row to report");
    }

    #[test]
    fn rows_of_other_lengths_stay_as_they_are() {
        assert_eq!(read(b"sku,external_id\nB\nC,c,extra\n,d\n\"E\nF,f\n"), "sku,external_id\nB\nC,c,extra\n,d\n\"E\nF,f\"\n");
    }

    #[test]
    fn text_that_a_spreadsheet_would_change_survives_the_way_out_and_back() {
        for text in [
            "00123",
            "0",
            "12345",
            "44781234567890",
            "=1+2",
            "+49 30",
            "-5",
            "@x",
            "A\"B",
            "=\"x\"",
            "1E5",
            "ABC-1",
            "赤",
            "5e",
            "E5",
            "1.50",
            "3-4",
            "2026-03-04",
            "10:30",
            "5%",
            "MAR1",
            "1-Sept",
            "true",
        ] {
            let mut writer = Writer::from_writer(Vec::new());
            writer.write_record(["sku", "external_id"]).unwrap();
            writer.write_record([cell(text).as_str(), "1"]).unwrap();
            let file = writer.into_inner().unwrap();
            let mut reader = csv::Reader::from_reader(std::io::Cursor::new(plain(&file).unwrap()));
            let row = reader.records().next().unwrap().unwrap();
            assert_eq!(&row[0], text);
        }
        for text in ["00123", "00", "123456789012", "1.50", "3-4", "1/2", "10:30", "1E5", "MAR1", "1-Sept", "4 PM", "true", "False"] {
            assert_eq!(cell(text), format!("=\"{text}\""));
        }
        for text in ["12345", "0", "12345678901", "ABC-1", "Marble-1", "TRUEST", "赤1", "", "A"] {
            assert_eq!(cell(text), text);
        }
    }

    #[test]
    fn rows_that_a_page_repeats_say_the_same_when_they_are_sent_again() {
        let file = b"sku;external_id\n\"=\"\"00123\"\"\";1\n\"=\"\"=\"\"\"\"x\"\"\"\"\"\"\";2\n";
        let once = plain(file).unwrap();
        assert_eq!(read(file), "sku,external_id\n00123,1\n\"=\"\"x\"\"\",2\n");
        let shown = pasteable(file).unwrap();
        assert!(String::from_utf8_lossy(&shown).contains("\n00123,1\n"), "as short as can be");
        assert_eq!((plain(&shown).unwrap(), pasteable(&shown).unwrap()), (once, shown));
    }

    #[test]
    fn a_spreadsheets_own_file_is_named_as_what_it_is() {
        let zip = |inside: &str| [b"PK\x03\x04\x14\0\x06\0".as_slice(), inside.as_bytes(), &[0; 64]].concat();
        for (file, name) in [
            (zip("[Content_Types].xml"), ".xlsx"),
            (zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheetPK"), ".ods"),
            (zip("photo.jpg"), "ZIP"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), ".xls"),
        ] {
            let said = plain(&file).unwrap_err();
            assert!(said.detail().contains(name) && said.detail().contains("CSV UTF-8"), "{said:?}");
        }
        assert_eq!(spreadsheet_file(PLAIN.as_bytes()), None);
    }

    #[test]
    fn a_shortened_number_is_recognized() {
        for text in ["4.47812E+13", "4,47812E+13", "4E+13", "1.2e+05"] {
            assert!(is_shortened(text), "{text}");
        }
        for text in ["447812", "E+13", "4E13", "A4E+13", "4.E+13", "1E+", "SIZE+1"] {
            assert!(!is_shortened(text), "{text}");
        }
    }
}
