//! The address of the client that sent a request; [`proxies`](super::proxies) decides whom to believe.
use super::state::AppState;
use actix_web::HttpRequest;
use actix_web::web::Data;
use std::net::{IpAddr, Ipv4Addr};

/// The address of the client that sent this request.
pub fn address(request: &HttpRequest) -> IpAddr {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    request.app_data::<Data<AppState>>().map_or(peer, |state| state.settings.trusted_proxies.client(peer, request.headers()))
}
