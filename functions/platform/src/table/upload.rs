//! Uploads: files that messages of one conversation may reference.

use super::record::Upload;
use super::{Table, expiry, item, key, number, text, update, value};
use crate::capability::Capability;
use crate::error::InternalError;
use crate::files::ObjectKey;
use domain::file::{MediaType, UploadState};

impl Table {
    /// Remembers a new upload, until its time is over.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn put_upload(&self, place: ObjectKey, upload: &Upload) -> Result<(), InternalError> {
        let ObjectKey { business_id, conversation_id, upload: id } = place;
        let put = self.client.put_item().table_name(&self.name);
        let put = put.set_item(Some(item(&key::upload(business_id, conversation_id, id), upload)));
        put.send().await.map(drop).map_err(|error| InternalError::aws("PutItem", error))
    }

    /// The upload that a capability opens.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn upload(&self, capability: &Capability) -> Result<Option<Upload>, InternalError> {
        let key =
            key::upload(capability.business_id, capability.conversation_id, capability.upload);
        let upload: Option<Upload> = self.get(&key).await?;
        Ok(upload.filter(|upload| upload.is_opened_by(capability)))
    }

    /// Has an upload kept as long as its file is, which must be seen to before; false if there is
    /// none any more.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn keep_upload(
        &self,
        place: ObjectKey,
        was: &Upload,
        content_type: &MediaType,
    ) -> Result<bool, InternalError> {
        let end = UploadState::Ready.kept_until(was.created_at);
        let call = self
            .change(&key::upload(place.business_id, place.conversation_id, place.upload))
            .update_expression(
                "SET #state = :ready, content_type = :content_type, expires_at = :end",
            )
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":ready", value(&UploadState::Ready))
            .expression_attribute_values(":content_type", text(content_type))
            .expression_attribute_values(":end", number(expiry(end, chrono::TimeDelta::zero())));
        Ok(update::<Upload>(call).await?.is_done())
    }
}
