//! Who owns an API key: asked for every request.
use super::database::Db;
use super::error::Result;
use super::known_keys::Hash;
use super::sellers::{KeyOwner, find_key};
use tokio::time::Instant;

impl Db {
    /// The owner of the key with this digest, as it was at most a second ago.
    ///
    /// # Errors
    /// [`Error::NotFound`](super::Error::NotFound) when there is no such key; those of [`Db::read`].
    pub async fn key_owner(&self, hash: Hash) -> Result<KeyOwner> {
        let now = Instant::now();
        let changes = match self.known_keys.find(&hash, now) {
            Ok(owner) => return Ok(owner),
            Err(changes) => changes,
        };
        let owner = self.read(move |conn| find_key(conn, &hash)).await?;
        self.known_keys.note(hash, owner, now, changes);
        Ok(owner)
    }
}
