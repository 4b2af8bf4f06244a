//! Controllers that make themselves known (KIP-919): a broker finds them by their registrations.

use dohle_base::ErrorCode;
use dohle_protocol::api::{
    controller_registration_request::ControllerRegistrationRequest,
    controller_registration_response::ControllerRegistrationResponse,
};
use dohle_protocol::records::metadata::register_controller_record::{
    ControllerEndpoint, ControllerFeature, RegisterControllerRecord,
};

use crate::controller::{Outcome, answer, outcome};
use crate::{Context, Controller, Reply};

impl Controller {
    pub(crate) fn register_controller(
        &self,
        context: &Context,
        request: &ControllerRegistrationRequest,
    ) -> Outcome {
        if !self.version().has_controller_registration() {
            let response = ControllerRegistrationResponse {
                error_code: ErrorCode::UNSUPPORTED_VERSION,
                error_message: Some(
                    "metadata.version is too low for controllers to register".into(),
                ),
                ..ControllerRegistrationResponse::default()
            };
            return answer(context, Reply::RegisterController(response));
        }
        let end_points = request.listeners.iter().map(|listener| ControllerEndpoint {
            name: listener.name.clone(),
            host: listener.host.clone(),
            port: listener.port,
            security_protocol: listener.security_protocol,
        });
        let features = request.features.iter().map(|feature| ControllerFeature {
            name: feature.name.clone(),
            min_supported_version: feature.min_supported_version,
            max_supported_version: feature.max_supported_version,
        });
        let record = RegisterControllerRecord {
            controller_id: request.controller_id,
            incarnation_id: request.incarnation_id,
            zk_migration_ready: false,
            end_points: end_points.collect(),
            features: features.collect(),
        };
        let reply = Reply::RegisterController(ControllerRegistrationResponse::default());
        outcome(context, vec![record.into()], reply)
    }
}
