//! The codes that AuditEvents are made of.

use super::resource::Coding;

pub(super) const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
pub(super) const INTERACTION: &str = "http://hl7.org/fhir/restful-interaction";
pub(super) const RESOURCE_TYPES: &str = "http://hl7.org/fhir/resource-types";
pub(super) const PROFILE_BASE: &str = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/";

const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";

pub(super) const REST: Coding =
    Coding::new("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation");

pub(super) const APPLICATION_ACTIVITY: Coding = Coding::new(DCM, "110100", "Application Activity");
pub(super) const APPLICATION_START: Coding = Coding::new(DCM, "110120", "Application Start");
pub(super) const APPLICATION_STOP: Coding = Coding::new(DCM, "110121", "Application Stop");
pub(super) const IMPORT: Coding = Coding::new(DCM, "110107", "Import");
pub(super) const PATIENT_RECORD: Coding = Coding::new(DCM, "110110", "Patient Record");
pub(super) const SECURITY_ALERT: Coding = Coding::new(DCM, "110113", "Security Alert");
pub(super) const USER_AUTHENTICATION: Coding = Coding::new(DCM, "110114", "User Authentication");
pub(super) const LOGIN: Coding = Coding::new(DCM, "110122", "Login");
pub(super) const LOGOUT: Coding = Coding::new(DCM, "110123", "Logout");
pub(super) const SECURITY_CONFIGURATION: Coding = Coding::new(DCM, "110129", "Security Configuration");
pub(super) const EMERGENCY_STARTED: Coding = Coding::new(DCM, "110127", "Emergency Override Started");
pub(super) const EMERGENCY_STOPPED: Coding = Coding::new(DCM, "110138", "Emergency Override Stopped");
pub(super) const USER_SECURITY_CHANGED: Coding = Coding::new(DCM, "110137", "User Security Attributes Changed");
pub(super) const GET_ACCESS_TOKEN: Coding = Coding::new("urn:ihe:event-type-code", "ITI-71", "Get Access Token");
pub(super) const CONSENT_DECISION: Coding = Coding::new(
    "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType",
    "AuthZ-Consent",
    "Authorization Decision using Roles and Consent",
);

pub(super) const APPLICATION: Coding = Coding::new(DCM, "110150", "Application");
pub(super) const DESTINATION: Coding = Coding::new(DCM, "110152", "Destination Role ID");
pub(super) const SOURCE: Coding = Coding::new(DCM, "110153", "Source Role ID");
pub(super) const CUSTODIAN: Coding =
    Coding::new("http://terminology.hl7.org/CodeSystem/provenance-participant-type", "custodian", "Custodian");
pub(super) const AUTHORIZATION_SERVER: Coding =
    Coding::new("http://terminology.hl7.org/CodeSystem/extra-security-role-type", "authserver", "authorization server");
pub(super) const OAUTH_SERVICE: Coding = Coding::new(
    "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes",
    "AuthzOauthService",
    "OAuth authorization service",
);
pub(super) const INFORMATION_RECIPIENT: Coding = Coding::new(PARTICIPATION, "IRCP", "information recipient");
pub(super) const AUTHOR: Coding = Coding::new(PARTICIPATION, "AUT", "author (originator)");

pub(super) const APPLICATION_SERVER: Coding = Coding::new(SOURCE_TYPE, "4", "Application Server");
pub(super) const SECURITY_SERVER: Coding = Coding::new(SOURCE_TYPE, "6", "Security Server");

pub(super) const PERSON: Coding = Coding::new(ENTITY_TYPE, "1", "Person");
pub(super) const SYSTEM_OBJECT: Coding = Coding::new(ENTITY_TYPE, "2", "System Object");
pub(super) const OTHER: Coding = Coding::new(ENTITY_TYPE, "4", "Other");
pub(super) const REQUEST_ID: Coding =
    Coding::new("https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType", "XrequestId", "The X-Request-Id used");
pub(super) const CONSENT: Coding = Coding::new(RESOURCE_TYPES, "Consent", "Consent");
pub(super) const OAUTH_AGENT: Coding =
    Coding::new("https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes", "UserOauthAgent", "User OAuth Agent participant");
pub(super) const OPERATION_OUTCOME: Coding = Coding::new(RESOURCE_TYPES, "OperationOutcome", "OperationOutcome");

pub(super) const PATIENT_ROLE: Coding = Coding::new(OBJECT_ROLE, "1", "Patient");
pub(super) const DOMAIN_RESOURCE_ROLE: Coding = Coding::new(OBJECT_ROLE, "4", "Domain Resource");
pub(super) const SECURITY_RESOURCE_ROLE: Coding = Coding::new(OBJECT_ROLE, "13", "Security Resource");
pub(super) const QUERY_ROLE: Coding = Coding::new(OBJECT_ROLE, "24", "Query");
