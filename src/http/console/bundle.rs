//! What a bundle is made of: shown on its SKU's page, and edited as one line for each component.
use super::form::Posted;
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying};
use super::session::SellerVisit;
use super::show::{query_value, units};
use crate::db::{self, stock::ComponentStock};
use crate::domain::Sku;
use crate::domain::bundle::{self, Stock};
use crate::domain::bundling::EnteredComponent;
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::service::{self, bundles};
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

/// A component on the page of its bundle.
pub(super) struct ComponentRow {
    pub(super) sku: String,
    pub(super) query: String,
    pub(super) quantity: String,
    pub(super) available: String,
    pub(super) enough_for: String,
    /// The other bundles that it is a component of, each with its address.
    pub(super) shared_with: Vec<(String, String)>,
}

impl From<ComponentStock> for ComponentRow {
    fn from(ComponentStock { component, levels, shared_with }: ComponentStock) -> Self {
        let available = Stock::Own(&levels).within(None);
        Self {
            query: query_value(component.sku.as_str()),
            sku: component.sku.to_string(),
            quantity: units(component.quantity.get()),
            available: units(available),
            enough_for: units(bundle::available([(available, component.quantity)])),
            shared_with: links(shared_with),
        }
    }
}

/// SKUs, each with what its page's address ends with.
pub(super) fn links(skus: Vec<String>) -> Vec<(String, String)> {
    skus.into_iter().map(|sku| (query_value(&sku), sku)).map(|(query, sku)| (sku, query)).collect()
}

#[derive(Template)]
#[template(path = "bundle.html")]
struct BundlePage<'a> {
    frame: &'a Frame,
    here: &'static str,
    sku: String,
    lines: String,
    is_bundle: bool,
    /// What is wrong with the components.
    wrong: Option<String>,
    errors: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct SkuQuery {
    sku: Option<String>,
}

fn sku_of(text: &str) -> Result<Sku, ApiError> {
    Sku::parse(text).map_err(|_| ApiError::not_found("SKU"))
}

/// The components in these lines, each a quantity and a SKU. A line without a quantity has an invalid one.
fn entered(lines: &str) -> Vec<EnteredComponent> {
    let component = |line: &str| {
        let (quantity, sku) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let quantity = quantity.trim_end_matches(['x', '×']).parse().unwrap_or(0);
        let sku = sku.trim_start().trim_start_matches("× ").trim();
        EnteredComponent { sku: sku.to_owned(), quantity }
    };
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(component).collect()
}

async fn show(visit: &SellerVisit, sku: &Sku, lines: Option<&str>, errors: FormErrors) -> PageAnswer {
    let wanted = sku.clone();
    let read = visit.caller.db.read(move |t| Ok((t.sku_names(&[wanted.as_str()])?.is_empty(), t.bundle(&wanted)?)));
    let (is_unknown, bundle) = read.await?;
    if is_unknown {
        return Err(ApiError::not_found("SKU").into());
    }
    let line = |component: &bundle::Component| format!("{} {}", component.quantity.get(), component.sku);
    let saved: Vec<String> = bundle.iter().flat_map(|bundle| &bundle.components).map(line).collect();
    // Each error names the line that it is about.
    let wrong: Vec<String> = errors
        .0
        .iter()
        .filter_map(|error| {
            let rest = error.pointer.strip_prefix("/components")?;
            let index: Option<usize> = rest.split('/').nth(1).and_then(|index| index.parse().ok());
            let field = if rest.ends_with("/quantity") { "the quantity " } else { "" };
            Some(index.map_or_else(|| format!("It {}.", error.detail), |n| format!("Line {}: {field}{}.", n + 1, error.detail)))
        })
        .collect();
    let page = BundlePage {
        frame: &visit.frame,
        here: "stock",
        sku: sku.to_string(),
        lines: lines.map_or_else(|| saved.join("\n"), str::to_owned),
        is_bundle: bundle.is_some(),
        wrong: (!wrong.is_empty()).then(|| wrong.join(" ")),
        errors: errors.elsewhere(&["/components"]),
    };
    if errors.0.is_empty() { visit.frame.page(&page) } else { visit.frame.rejected(&page) }
}

pub(super) async fn page(visit: SellerVisit, query: Query<SkuQuery>) -> PageAnswer {
    let sku = sku_of(query.sku.as_deref().unwrap_or_default())?;
    show(&visit, &sku, None, FormErrors::default()).await
}

/// *Save*: without components, it is no bundle any more.
pub(super) async fn save(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    let (sku, lines) = (sku_of(fields.text("sku"))?, fields.text("components"));
    let address = format!("/console/stock/sku?sku={}", query_value(sku.as_str()));
    let entered = entered(lines);
    if entered.is_empty() {
        match bundles::delete(&state.service, &visit.caller, sku.clone()).await {
            // It was none, so components are missing.
            Err(service::Error::Rows(db::Error::NotFound)) => {}
            deleted => {
                deleted?;
                return Ok(go_saying(&address, &format!("{sku} is no bundle any more, and has stock of its own.")));
            }
        }
    }
    match field_errors(bundles::save(&state.service, &visit.caller, sku.clone(), &entered).await)? {
        Err(errors) => show(visit, &sku, Some(lines), errors).await,
        Ok(saved) if saved.sync_id.is_some() => Ok(go_saying(&address, "The bundle is saved. Its listings are being overwritten.")),
        Ok(_) => Ok(go_saying(&address, "The bundle is saved.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_quantity_and_a_sku_which_may_have_spaces() {
        let found: Vec<(i64, String)> =
            entered("2 MUG\r\n\n 1  red  lamp \n3x BULB\n4 × A\nMUG\n1.5 A\n").into_iter().map(|part| (part.quantity, part.sku)).collect();
        let expected = [(2, "MUG"), (1, "red  lamp"), (3, "BULB"), (4, "A"), (0, ""), (0, "A")].map(|(n, sku)| (n, sku.to_owned()));
        assert_eq!(found, expected);
    }
}
