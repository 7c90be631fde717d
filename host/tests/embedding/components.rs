//! Components that cannot be served: the error says why.

use http_component_runtime::{App, ComponentError, engine};

/// The error for the component whose text is `wat`.
fn error(wat: &str) -> ComponentError {
    let engine = engine::engine().unwrap();
    let bytes = wat::parse_str(wat).unwrap();
    let built = engine::load(&engine, &bytes).and_then(|component| App::builder(component).build());
    built.err().unwrap()
}

#[test]
fn an_import_that_is_not_offered_is_named() {
    let error = error(
        r#"(component (import "acme:queue/sender@1.0.0" (instance (export "send" (func)))))"#,
    );
    assert!(matches!(error, ComponentError::Imports(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("acme:queue/sender@1.0.0"), "{said}");
}

#[test]
fn a_function_that_an_interface_does_not_have_is_named() {
    let error = error(
        r#"(component (import "fermyon:spin/variables@2.0.0" (instance (export "list" (func)))))"#,
    );
    assert!(matches!(error, ComponentError::Imports(_)), "{error:?}");
    let said = error.to_string();
    assert!(
        said.contains("fermyon:spin/variables@2.0.0") && said.contains("list"),
        "{said}"
    );
}

#[test]
fn a_component_without_a_handler_is_told_so() {
    let error = error("(component)");
    assert!(matches!(error, ComponentError::Exports(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("wasi:http/incoming-handler"), "{said}");
}

#[test]
fn a_module_is_no_component() {
    let error = error("(module)");
    assert!(matches!(error, ComponentError::Invalid(_)), "{error:?}");
}
