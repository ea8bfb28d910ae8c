//! Listings that have been through a spreadsheet program: what such a program does to SKUs and ids never moves a listing to an
//! empty SKU unnoticed.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Caller, Expect, Platform};
use serde_json::{Value, json};

struct Shop<'a> {
    ada: &'a Caller<'a>,
    path: String,
}

impl<'a> Shop<'a> {
    fn new(ada: &'a Caller<'a>, platform: &Platform) -> Self {
        let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
        Self { ada, path: format!("/v1/stores/{store}/listings") }
    }

    fn put(&self, bytes: &[u8]) -> Value {
        self.ada.send_as("PUT", &self.path, "text/csv", bytes).is(200)
    }

    fn dry_run(&self, text: &str) -> Value {
        self.ada.send_as("PUT", &format!("{}?dry_run=true", self.path), "text/csv", text.as_bytes()).is(200)
    }

    /// External id and SKU of each listing.
    fn pairs(&self) -> Vec<(String, String)> {
        let listed = self.ada.get(&self.path).is(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut pairs: Vec<_> = listed["items"].as_array().unwrap().iter().map(|l| (text(&l["external_id"]), text(&l["sku"]))).collect();
        pairs.sort();
        pairs
    }
}

fn lost_zeros_and_shortened_numbers_are_refused_by_row(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let shop = Shop::new(&ada, &platform);
    ada.event("e1", "00123", "purchase", 50);
    shop.put(b"sku,external_id\n00123,44781234567890\n");
    let answer = shop.put(b"sku,external_id\n123,44781234567890\nB,4.47812E+13\nC,1\n1.2E+05,2\n");
    assert_eq!((&answer["created"], &answer["rejected"]), (&json!(1), &json!(3)), "{answer}");
    let pointers: Vec<&str> = answer["results"].as_array().unwrap().iter().filter_map(|r| r["errors"][0]["pointer"].as_str()).collect();
    assert_eq!(pointers, ["/0/sku", "/1/external_id", "/3/sku"]);
    assert!(answer["results"][0]["reason"].as_str().unwrap().contains("00123"));
    assert_eq!(shop.pairs(), [("1".to_owned(), "C".to_owned()), ("44781234567890".to_owned(), "00123".to_owned())]);
    ada.put("/v1/skus", &json!([{ "sku": "123" }])).is(200);
    assert_eq!(shop.put(b"sku,external_id\n123,44781234567890\n")["updated"], 1, "123 exists now, so it is meant");
}

fn a_file_with_both_a_sku_and_the_same_without_its_zeros_means_both_however_long_it_is(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let shop = Shop::new(&ada, &platform);
    let between: String = (0..1_200).map(|n| format!("S{n},s{n}\n")).collect();
    let file = format!("sku,external_id\n00123,1\n{between}123,2\n");
    let preview = shop.dry_run(&file);
    assert_eq!((&preview["created"], &preview["rejected"]), (&json!(1_202), &json!(0)));
    let done = shop.put(file.as_bytes());
    assert_eq!((&done["created"], &done["rejected"]), (&json!(1_202), &json!(0)), "{}", done["results"][1_201]);
}

fn files_in_the_formats_of_spreadsheets_are_understood(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let shop = Shop::new(&ada, &platform);
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    for (n, bytes) in [
        b"sku;external_id\r\n\"=\"\"00123\"\"\";1\r\n".to_vec(),
        b"sep=;\nsku;external_id;;\n00123;1;;\n;;;\n\n".to_vec(),
        b"sku\texternal_id\n=\"00123\"\t1\n".to_vec(),
        wide("\u{feff}sku\texternal_id\r\n00123\t1\r\n"),
    ]
    .iter()
    .enumerate()
    {
        let answer = shop.put(bytes);
        assert_eq!((&answer["rejected"], answer["results"].as_array().unwrap().len()), (&json!(0), 1), "{n}: {answer}");
        assert_eq!(shop.pairs(), [("1".to_owned(), "00123".to_owned())], "{n}");
    }
}

/// SKUs and ids, some of which spreadsheet programs would change.
const DELICATE: [&str; 27] = [
    "00123",
    "44781234567890",
    "123456789012",
    "=1+1",
    "Größe-42 ü",
    "1.50",
    "3-4",
    "MAR1",
    "+49 30 123",
    "-5",
    "@x",
    "1E5",
    "A,B",
    "A\"B",
    "A;B",
    "true",
    "赤い靴",
    "1 000",
    "10:30",
    "5%",
    "2026-03-04",
    "1/2",
    "1,5",
    "00",
    "0",
    "7",
    "ABC-1",
];

/// The files are what LibreOffice 7.4 wrote after it had opened the console's export of such listings and saved it as a
/// spreadsheet, once with formulas left as they are and once evaluated, with numbers and dates recognized.
fn an_export_that_was_opened_and_saved_by_libreoffice_changes_nothing(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let shop = Shop::new(&ada, &platform);
    let row = |n: usize| json!({ "sku": DELICATE[n], "external_id": DELICATE[(n + 5) % DELICATE.len()] });
    let rows: Vec<Value> = (0..DELICATE.len()).map(row).collect();
    assert_eq!(ada.put(&shop.path, &json!(rows)).is(200)["created"], DELICATE.len());
    for file in [include_str!("libreoffice/formulas_kept.csv"), include_str!("libreoffice/formulas_evaluated.csv")] {
        assert_eq!(shop.dry_run(file)["unchanged"], DELICATE.len(), "{}", shop.dry_run(file));
    }
    let damaged = include_bytes!("libreoffice/read_as_windows_1252.csv");
    let refused = ada.send_as("PUT", &shop.path, "text/csv", damaged);
    refused.is_problem(400);
    assert!(refused.text().contains("UTF-8"), "{}", refused.text());
}

fn rows_may_swap_their_skus_and_several_may_have_the_same(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let shop = Shop::new(&ada, &platform);
    shop.put(b"sku,external_id\nA,1\nB,2\nC,3\n");
    let swapped = shop.put(b"sku,external_id\nB,1\nC,2\nA,3\n");
    assert_eq!((&swapped["updated"], &swapped["rejected"]), (&json!(3), &json!(0)), "{swapped}");
    let pairs = |list: &[(&str, &str)]| list.iter().map(|(id, sku)| ((*id).to_owned(), (*sku).to_owned())).collect::<Vec<_>>();
    assert_eq!(shop.pairs(), pairs(&[("1", "B"), ("2", "C"), ("3", "A")]));
    let twice = shop.put(b"sku,external_id\nA,1\nA,4\nC,9\nC,9\n");
    assert_eq!((&twice["updated"], &twice["created"], &twice["rejected"]), (&json!(1), &json!(2), &json!(1)), "{twice}");
    assert_eq!(shop.pairs(), pairs(&[("1", "A"), ("2", "C"), ("3", "A"), ("4", "A"), ("9", "C")]));
}

fn a_file_that_is_not_csv_in_utf_8_is_named_as_what_it_is(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let shop = Shop::new(&ada, &platform);
    let put = |bytes: &[u8]| ada.send_as("PUT", &shop.path, "text/csv", bytes);
    for (inside, name) in [("[Content_Types].xml", ".xlsx"), ("mimetypeapplication/vnd.oasis.opendocument.spreadsheet", ".ods")] {
        let file = [b"PK\x03\x04\x14\0\x06\0".as_slice(), inside.as_bytes(), &[0; 64]].concat();
        let problem = put(&file).is_problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(name), "{problem}");
    }
    let answer = put(b"sku;external_id\nA;1\nGr\xf6\xdfe;2\n").is(200);
    let (row, reason) = (&answer["results"][1], answer["results"][1]["reason"].as_str().unwrap());
    assert!(row["row"] == 1 && reason.contains("line 3") && reason.contains("Windows-1252") && reason.contains("CSV UTF-8"), "{answer}");
    assert_eq!(answer["created"], 1, "the other row is taken");
    let types = ada.send_as("PUT", &shop.path, "application/vnd.ms-excel", b"x").is_problem(415);
    let said = types["detail"].as_str().unwrap();
    assert!(said.contains("application/json") && said.contains("text/csv"), "{types}");
}

fn a_dry_run_says_what_would_move_and_be_set_to_0_and_changes_nothing(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let shop = Shop::new(&ada, &platform);
    ada.event("e1", "A", "purchase", 50);
    shop.put(b"sku,external_id\nA,1\n");
    ada.post("/v1/syncs", &json!({})).is(202);
    crate::support::until("the store shows 50", || (platform.simulator.quantity("corner", "1") == 50).then_some(()));
    crate::support::until("the service knows", || (ada.get(&shop.path).is(200)["items"][0]["shown"] == 50).then_some(()));
    let answer = ada.changes_nothing(|| shop.dry_run("sku,external_id\nNew,1\nA,2\na,3\n,4\n"));
    assert_eq!((&answer["created"], &answer["updated"], &answer["rejected"]), (&json!(2), &json!(1), &json!(1)), "{answer}");
    let results = &answer["results"];
    assert_eq!((&results[0]["moved_from"], &results[0]["set_to_0"]), (&json!("A"), &json!(true)));
    assert!(results[1].get("moved_from").is_none() && results[1].get("set_to_0").is_none(), "{answer}");
    assert_eq!(results[2]["similar_sku"], "A");
    assert_eq!(shop.put(b"sku,external_id\na,3\n")["results"][0]["similar_sku"], "A", "and when it is done");
    let named = ada.put("/v1/skus", &json!([{ "sku": "new " .trim() }, { "sku": "NEW" }])).is(200);
    assert_eq!(named["results"][1]["similar_sku"], "new");
}

on_both_backends![
    lost_zeros_and_shortened_numbers_are_refused_by_row,
    a_file_with_both_a_sku_and_the_same_without_its_zeros_means_both_however_long_it_is,
    files_in_the_formats_of_spreadsheets_are_understood,
    an_export_that_was_opened_and_saved_by_libreoffice_changes_nothing,
    rows_may_swap_their_skus_and_several_may_have_the_same,
    a_dry_run_says_what_would_move_and_be_set_to_0_and_changes_nothing,
    a_file_that_is_not_csv_in_utf_8_is_named_as_what_it_is,
];
