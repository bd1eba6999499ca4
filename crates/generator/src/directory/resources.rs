//! The resources of the directory: Organization, Location, Practitioner, PractitionerRole and Medication.

use jiff::civil::Date;

use super::{BRIGHTSIDE, HARBOR, MERIDIAN, Organization, OrganizationKind, Payer, Practitioner, Region};
use crate::calendar::{Moment, plus_days};
use crate::generate::{GeneratedResource, Options};
use crate::terminology::systems::{
    C4BB_IDENTIFIER, CARIN, IDENTIFIER_TYPE, NPI, ORGANIZATION_TYPE, PAYER_SYSTEM, ROLE_CODE, US_CORE,
};
use crate::terminology::{Code, medications};
use crate::writer::Writer;

const NPI_TYPE: Code = Code::new(IDENTIFIER_TYPE, "NPI", "National provider identifier");
const PAYER_ID: Code = Code::new(C4BB_IDENTIFIER, "payerid", "Payer ID");

/// What all regions share: payers and medications.
pub(crate) fn shared(options: &Options) -> Vec<GeneratedResource> {
    let payers = [&HARBOR, &MERIDIAN, &BRIGHTSIDE].map(|payer| payer_resource(payer, options));
    payers.into_iter().chain(medications::ALL.iter().map(|medication| medication_resource(medication, options))).collect()
}

impl Region {
    /// The region's organizations, their locations, its practitioners and their roles.
    pub(crate) fn resources(&self, options: &Options) -> Vec<GeneratedResource> {
        let organizations = self.organizations().map(|organization| organization_resource(organization, options));
        let locations = self.organizations().map(|organization| location_resource(organization, options));
        let practitioners = self.staff().map(|practitioner| practitioner_resource(practitioner, options));
        let roles = self.staff().map(|practitioner| role_resource(practitioner, options));
        organizations.chain(locations).chain(practitioners).chain(roles).collect()
    }
}

/// When the directory was last brought up to date.
fn updated(as_of: Date) -> Moment {
    Moment::at(plus_days(as_of, -40), 4, 15)
}

fn finish(writer: Writer) -> GeneratedResource {
    writer.finish().1
}

fn payer_resource(payer: &Payer, options: &Options) -> GeneratedResource {
    let mut w = Writer::resource("Organization", payer.id.to_owned(), options.seed);
    w.meta(&[(US_CORE, "us-core-organization"), (CARIN, "C4BB-Organization|2.0.0")], Some(updated(options.as_of)));
    w.single("identifier", |identifier| {
        identifier.identifier_members(Some(&PAYER_ID), PAYER_SYSTEM, &[payer.payer_id]);
    });
    w.boolean("active", true);
    w.concepts("type", &[Code::new(ORGANIZATION_TYPE, "pay", "Payer")]);
    w.string("name", payer.name);
    w.work_phone("(800) 555-0100");
    finish(w)
}

fn medication_resource(medication: &medications::Medication, options: &Options) -> GeneratedResource {
    let mut w = Writer::resource("Medication", medication.id.to_owned(), options.seed);
    w.meta(&[(US_CORE, "us-core-medication")], None);
    w.concept("code", &[medication.rxnorm, medication.ndc]);
    w.string("status", "active");
    finish(w)
}

fn organization_resource(organization: &Organization, options: &Options) -> GeneratedResource {
    let mut w = Writer::resource("Organization", organization.id.clone(), options.seed);
    w.meta(&[(US_CORE, "us-core-organization"), (CARIN, "C4BB-Organization|2.0.0")], Some(updated(options.as_of)));
    w.single("identifier", |identifier| identifier.identifier_members(Some(&NPI_TYPE), NPI, &[&organization.npi]));
    w.boolean("active", true);
    w.concepts("type", &[Code::new(ORGANIZATION_TYPE, "prov", "Healthcare Provider")]);
    w.string("name", &organization.name);
    w.work_phone(&organization.phone);
    w.single("address", |address| organization.address.write(address));
    finish(w)
}

fn location_resource(organization: &Organization, options: &Options) -> GeneratedResource {
    let kind = match organization.kind {
        OrganizationKind::Hospital => Code::new(ROLE_CODE, "HOSP", "Hospital"),
        OrganizationKind::Practice => Code::new(ROLE_CODE, "FMC", "Family medicine clinic"),
        OrganizationKind::SkilledNursing => Code::new(ROLE_CODE, "SNF", "Skilled nursing facility"),
        OrganizationKind::Dental => Code::new(ROLE_CODE, "PROFF", "Provider's Office"),
        OrganizationKind::Pharmacy => Code::new(ROLE_CODE, "PHARM", "Pharmacy"),
        OrganizationKind::Laboratory => Code::new(ROLE_CODE, "DX", "Diagnostics or therapeutics unit"),
    };
    let mut w = Writer::resource("Location", organization.location_id.clone(), options.seed);
    w.meta(&[(US_CORE, "us-core-location")], None);
    w.string("status", "active");
    w.string("name", &organization.name);
    w.string("mode", "instance");
    w.concepts("type", &[kind]);
    w.work_phone(&organization.phone);
    w.object("address", |address| organization.address.write(address));
    w.organization("managingOrganization", organization);
    finish(w)
}

fn practitioner_resource(practitioner: &Practitioner, options: &Options) -> GeneratedResource {
    let mut w = Writer::resource("Practitioner", practitioner.id.clone(), options.seed);
    w.meta(&[(US_CORE, "us-core-practitioner"), (CARIN, "C4BB-Practitioner|2.0.0")], Some(updated(options.as_of)));
    w.single("identifier", |identifier| identifier.identifier_members(Some(&NPI_TYPE), NPI, &[&practitioner.npi]));
    w.boolean("active", true);
    w.single("name", |name| {
        name.string("use", "official");
        name.string("family", practitioner.family);
        name.strings("given", &[practitioner.given]);
        name.strings("suffix", &[practitioner.specialty.title]);
    });
    w.work_phone(&practitioner.phone);
    w.string("gender", if practitioner.female { "female" } else { "male" });
    finish(w)
}

fn role_resource(practitioner: &Practitioner, options: &Options) -> GeneratedResource {
    let mut w = Writer::resource("PractitionerRole", practitioner.role_id.clone(), options.seed);
    w.meta(&[(US_CORE, "us-core-practitionerrole")], None);
    w.boolean("active", true);
    w.practitioner("practitioner", practitioner);
    w.reference("organization", "Organization", &practitioner.organization_id);
    w.concepts("code", &[practitioner.specialty.role]);
    w.concepts("specialty", &[practitioner.specialty.taxonomy]);
    w.references("location", "Location", &practitioner.location_id);
    w.work_phone(&practitioner.phone);
    finish(w)
}
