//! Views whose output policy calls harmless.

use super::*;
use crate::catalog::{Code, Function, Trigger, TriggerEvent};

/// A desk that sees masked addresses and the number of customers of a plan.
fn catalog(masked: &str, mask: &str) -> Catalog {
    let customers = relation(10, "public", "customers", RelationKind::Table, &["id", "name", "email", "phone"]);
    let masked = view(70, "v_masked", &["id", "mail"], masked, &[10]);
    let above = view(
        71,
        "v_above",
        &["id", "mail"],
        " SELECT v_masked.id,\n    v_masked.mail\n   FROM public.v_masked;",
        &[70],
    );
    let mask = Function {
        schema: "public".into(),
        name: "mask".into(),
        language: "sql".into(),
        body: Some(mask.to_owned()),
        from_extension: false,
        ..Function::default()
    };
    Catalog::new(Engine::Postgres, "support", 1, vec![customers, masked, above], vec![mask])
}

const MASKED: &str = " SELECT c.id,\n    public.mask(c.email) AS mail\n   FROM public.customers c;";
const MASK: &str = "select left($1, 2) || '***'";

fn bind(definition: &str, catalog: &Catalog) -> (Binding, Vec<String>) {
    let entry = format!(
        "declassified: [ {{ engine: postgres, database: support, name: public.v_masked{definition} }} ]\n{}",
        POLICY.trim_start()
    );
    let (set, _) = PolicySet::load(&entry, "policy.yaml").unwrap();
    let (binding, diagnostics) = set.bind(catalog);
    let told = diagnostics.iter().map(ToString::to_string).filter(|told| told.contains("v_masked")).collect();
    (binding, told)
}

fn exposes(binding: &Binding, catalog: &Catalog, sql: &str) -> String {
    let context = Context {
        lex: LexSettings::default(),
        catalog,
        search_path: &["pg_catalog".to_owned(), "public".to_owned()],
        temporary: &[],
    };
    words(&binding.exposure(&analyse(sql.as_bytes(), &context).statements[0]))
}

#[test]
fn only_a_definition_that_was_confirmed_is_harmless() {
    let wanted = catalog(MASKED, MASK);
    let (binding, told) = bind("", &wanted);
    assert!(exposes(&binding, &wanted, "select mail from v_masked").contains("customers"));
    let [told] = told.as_slice() else { panic!("{told:?}") };
    let (_, hash) = told.split_once("write `definition: ").expect("what to write");
    let definition = format!(", definition: {}", hash.split('`').next().unwrap());

    let (binding, told) = bind(&definition, &wanted);
    assert_eq!(told, Vec::<String>::new());
    for harmless in [
        "select * from v_masked",
        "select v from v_masked v where mail like 'a%'",
        "select mail from v_above",
        "select string_agg(mail, ',') from v_masked",
        "copy (select * from v_masked) to stdout",
    ] {
        assert_eq!(exposes(&binding, &wanted, harmless), "plain", "{harmless}");
    }
    // The server names the view, and that proves nothing more.
    let masked = binding.exposure(
        &analyse(
            b"select id, mail from v_masked",
            &Context { catalog: &wanted, search_path: &["public".to_owned()], ..context_of(&wanted) },
        )
        .statements[0],
    );
    assert_eq!(binding.tighten(&masked, &origins("70.1 70.2 71.2")), None);
    for sensitive in [
        "select email from customers",
        "select v.mail, c.phone from v_masked v join customers c using (id)",
        "select mask(email) from customers",
    ] {
        assert!(exposes(&binding, &wanted, sensitive).contains("read customers"), "{sensitive}");
    }

    for (changed, what) in [
        (catalog(&MASKED.replace("public.mask(c.email)", "c.email"), MASK), "the view"),
        (catalog(MASKED, "select $1"), "what it calls"),
    ] {
        let (binding, told) = bind(&definition, &changed);
        assert!(told[0].contains("has changed since it was confirmed"), "{what}: {told:?}");
        assert!(exposes(&binding, &changed, "select mail from v_masked").contains("customers{email}"), "{what}");
    }
}

#[test]
fn a_function_does_not_pass_for_a_view() {
    let wanted = catalog(MASKED, MASK);
    let hash = bind("", &wanted).1[0].split_once("definition: ").unwrap().1.split('`').next().unwrap().to_owned();
    let function = Function {
        schema: "public".into(),
        name: "v_masked".into(),
        language: "sql".into(),
        body: Some("select email from customers".to_owned()),
        from_extension: false,
        ..Function::default()
    };
    let mut functions = wanted.functions("mask").to_vec();
    functions.push(function);
    let both = Catalog::new(Engine::Postgres, "support", 1, wanted.relations().to_vec(), functions);
    let (binding, told) = bind(&format!(", definition: {hash}"), &both);
    assert!(told[0].contains("a function has the same name"), "{told:?}");
    assert!(exposes(&binding, &both, "select v_masked()").contains("customers"));
}

#[test]
fn what_an_operator_of_the_view_runs_is_part_of_what_was_confirmed() {
    let behind = |body: &str| {
        let wanted = catalog(MASKED, MASK);
        let mask = wanted.functions("mask")[0].clone();
        let operator = Function { oid: 900, name: "stars".into(), body: Some(body.to_owned()), ..mask.clone() };
        let all = Catalog::new(Engine::Postgres, "support", 1, wanted.relations().to_vec(), vec![mask, operator]);
        all.with_code(Code { views: [(70, vec![900])].into(), ..Code::default() })
    };
    let told = bind("", &behind("select '***'")).1;
    let hash = told[0].split_once("definition: ").unwrap().1.split('`').next().unwrap();
    let definition = format!(", definition: {hash}");
    assert_eq!(bind(&definition, &behind("select '***'")).1, Vec::<String>::new());
    let told = bind(&definition, &behind("select $1")).1;
    assert!(told[0].contains("has changed since it was confirmed"), "{told:?}");
}

#[test]
fn a_trigger_does_not_pass_for_a_view() {
    let wanted = catalog(MASKED, MASK);
    let hash = bind("", &wanted).1[0].split_once("definition: ").unwrap().1.split('`').next().unwrap().to_owned();
    let program = Function {
        schema: "PUBLIC".into(),
        name: "V_Masked".into(),
        body: Some("insert into kept select email from customers".to_owned()),
        ..wanted.functions("mask")[0].clone()
    };
    let both = wanted.clone().with_triggers(vec![Trigger { on: 10, event: TriggerEvent::Insert, program }]);
    let (binding, told) = bind(&format!(", definition: {hash}"), &both);
    assert!(told[0].contains("a trigger has the same name"), "{told:?}");
    assert!(exposes(&binding, &both, "select mail from v_masked").contains("customers"));
}

fn context_of(catalog: &Catalog) -> Context<'_> {
    Context { lex: LexSettings::default(), catalog, search_path: &[], temporary: &[] }
}
