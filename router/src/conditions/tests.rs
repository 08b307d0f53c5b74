//! What is refused. What fits and what meets is shown with the table.

use super::*;
use std::string::ToString;
use std::vec;

#[test]
fn a_category_has_four_digits() {
    let category = |text: &str| MerchantCategory::from_digits(text.as_bytes());
    assert_eq!(category("0742"), Some(MerchantCategory(742)));
    assert_eq!(category("9999"), Some(MerchantCategory(9_999)));
    for text in ["", "541", "54110", "54 1", "541x", "+411"] {
        assert_eq!(category(text), None, "{text}");
    }
    #[track_caller]
    fn refused(text: &str, expected: ConditionError) {
        assert_eq!(
            text.parse::<CategoryRange>().unwrap_err(),
            expected,
            "{text}"
        );
    }
    refused("541", ConditionError::Category);
    refused("5411-", ConditionError::Category);
    refused("5411-5410", ConditionError::CategoryOrder);
    let shown = std::format!("{:?}", "0742".parse::<CategoryRange>().unwrap());
    assert_eq!(shown, "0742-0742");
}

#[test]
fn conditions_that_cannot_stand_are_refused() {
    #[track_caller]
    fn check(conditions: &Conditions, expected: Option<ConditionError>) {
        assert_eq!(conditions.fault(), expected, "{conditions:?}");
    }
    let amount = |min, max| Conditions {
        currency: Some(Currency::KES),
        amount: Some(AmountRange { min, max }),
        ..Conditions::default()
    };
    check(&Conditions::default(), None);
    check(&amount(5, 5), None);
    check(&amount(6, 5), Some(ConditionError::AmountOrder));
    let no_currency = Conditions {
        currency: None,
        ..amount(1, 5)
    };
    check(&no_currency, Some(ConditionError::AmountWithoutCurrency));
    let acquirers = |count| Conditions {
        acquirers: vec![AcquirerId(0); count],
        ..Conditions::default()
    };
    check(&acquirers(256), None);
    check(&acquirers(257), Some(ConditionError::List));
    assert!(ConditionError::List.to_string().contains("256"));
}
