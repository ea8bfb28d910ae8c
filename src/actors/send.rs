//! How messages reach the node of this process that runs a seller.
use super::node::{Asked, Hint, Node, place};
use crate::domain::{SellerId, StoreId};
use actix::Addr;

pub(super) fn node_of(nodes: &[Addr<Node>], seller: SellerId) -> Option<&Addr<Node>> {
    nodes.get(place(seller, nodes.len()))
}

pub(super) fn send_hint(nodes: &[Addr<Node>], hint: Hint) {
    if let Some(node) = node_of(nodes, hint.seller) {
        // If the mailbox is full or the node is gone, the next look at the rows finds the work.
        node.try_send(hint).ok();
    }
}

pub(super) fn send_asked(nodes: &[Addr<Node>], seller: SellerId, stores: Vec<StoreId>) {
    if let Some(node) = node_of(nodes, seller) {
        node.try_send(Asked { seller, stores }).ok();
    }
}
