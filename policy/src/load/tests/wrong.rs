//! A good file that turns bad in one place, and exactly what is told about it.

use super::*;

#[test]
fn keys_and_words_that_do_not_exist_are_told() {
    check("mode: enforce", "mdoe: enforce", &["2:1: error: unknown key `mdoe` (hint: did you mean `mode`?)"]);
    check(
        "mode: enforce",
        "mode: enfroce",
        &["2:7: error: `enfroce` is none of `enforce`, `observe` (hint: did you mean `enforce`?)"],
    );
    check(
        "guesses: [{ statements: 1000 }]",
        "guess: 1",
        &["56:3: error: unknown key `guess` (hint: did you mean `guesses`?)"],
    );
    check(
        "guesses: [{ statements: 1000 }]",
        "guesses: [{ dataset: customer, per: 30d }]",
        &[
            "56:24: error: there is no dataset `customer` (hint: did you mean `customers`?)",
            "56:39: error: questions are not remembered per 30 days (hint: use `minute`, `hour` or `day`)",
        ],
    );
    check(
        "guesses: [{ statements: 1000 }]",
        "guesses: [{ statements: 0 }, { statements: 5, then: allow }]",
        &[
            "56:27: error: a detection counts from 1 to 4095 statements (hint: the usual number is small)",
            "56:46: error: where nobody looks there is no limit (hint: remove it, or say `then: alert`)",
        ],
    );
    check(
        "application: pg_dump",
        "certificate: x",
        &[
            "14:35: error: `certificate` is not in this version (hint: this version does not resolve client certificates: \
           name the account, group or source instead)",
        ],
    );
    check(
        "per: statement",
        "per: week",
        &["21:30: error: `week` is none of `statement`, `minute`, `hour`, `day`, `30d`"],
    );
    check(
        "access: [grant,",
        "access: [grnat,",
        &["36:14: error: `grnat` is none of `read`, `export`, `write`, `ddl`, `grant`, `set-role`, `definer`, \
           `configure`, `audit-off` (hint: did you mean `grant`?)"],
    );
    check(
        "tests:",
        "declassified: [{ engine: postgres, database: d, name: \"s.v*\" }]\ntests:",
        &["44:55: error: `s.v*` could be several views (hint: write each in full: each has a definition of its own)"],
    );
    check(
        "tests:",
        "declassified: [{ engine: postgres, database: d, name: v }]\ntests:",
        &["44:55: error: `v` could be in several schemas (hint: write \"schema.view\")"],
    );
    check("engine: mysql", "engine: oracle", &["8:19: error: `oracle` is none of `postgres`, `mysql`"]);
    check(
        "    key: [id]\n",
        "    key:\n",
        &["10:8: error: there is a key without a value here (hint: give it a value, or remove the key)"],
    );
    check(
        "mode: enforce\n",
        "mode: enforce\nmode: observe\n",
        &["3:1: error: `mode` stands here twice, first in line 2 (hint: keep one of them)"],
    );
    check("  - name: roles\n    mode", "  - mode", &["33:5: error: `name` is missing (hint: add `name`)"]);
    check("class: secret", "class: 7", &["11:19: error: expected text, found the number 7 (hint: put it in quotes)"]);
    check(
        "  cards: {",
        "  customers: {",
        &[
            "11:3: error: `customers` is defined twice, first in line 4 (hint: rename one of them)",
            "28:26: error: there is no dataset `cards` (hint: there is `customers`)",
        ],
    );
}

#[test]
fn one_round_tells_of_all_entries() {
    let text = GOOD
        .replace("class: personal", "clazz: personal")
        .replace("who: any", "who: evrybody")
        .replace("bytes: 1MiB", "bytes: much")
        .replace("opaque-sensitive: alert", "opaque-sensitive: never")
        .replace("rows: 68000", "rows: many");
    assert_eq!(
        told(&text),
        [
            "5:5: error: `class` is missing (hint: add `class`)",
            "5:5: error: unknown key `clazz` (hint: did you mean `class`?)",
            "23:18: error: `much` is no number of bytes (hint: write a whole number of bytes, or a size such as 200MiB)",
            "35:10: error: there is no set of people `evrybody` (hint: there are `nightly`, `support`, `trusted`, `any`)",
            "40:21: error: `never` is none of `allow`, `alert`, `refuse`",
            "51:62: error: expected a whole number, found `many`",
        ]
    );
}

#[test]
fn people_that_cannot_be_are_told() {
    check(
        "{ not: trusted }",
        "tursted",
        &["27:10: error: there is no set of people `tursted` (hint: did you mean `trusted`?)"],
    );
    check(
        "who: { not: trusted }",
        "who: any",
        &["15:3: warning: no rule uses `trusted` (hint: remove it, or name it in the `who` or `except` of a rule)"],
    );
    check("[nightly, {", "[trusted, {", &["15:13: error: `trusted` is defined by itself (hint: break the circle)"]);
    check(
        "  trusted:",
        "  any:",
        &[
            "15:3: error: `any` means everybody already (hint: give this set another name)",
            "27:17: error: there is no set of people `trusted` (hint: there are `nightly`, `support`, `any`)",
        ],
    );
    check("who: any", "who: { not: any }", &["35:17: error: nobody is not `any` (hint: name those who are left out)"]);
    check(
        "who: any",
        "who: []",
        &["35:10: error: an empty list of people is nobody (hint: name somebody, or remove the key)"],
    );
    check(
        "who: any",
        "who: {}",
        &["35:10: error: an empty set of people is nobody (hint: name a group, an account, …)"],
    );
    check(
        "who: any",
        "who: { group: [] }",
        &["35:19: error: an empty list is nobody (hint: name one, or remove the key)"],
    );
    check("who: any", "who: { gruop: x }", &["35:12: error: unknown key `gruop` (hint: did you mean `group`?)"]);
    check(
        "10.0.0.0/8",
        "10.0.0.0/33",
        &["13:39: error: `10.0.0.0/33` is no network (hint: write 10.0.0.0/8, 2001:db8::/32 or one address)"],
    );
    check(
        "{ who: [nightly], until: 2027-01-31 }",
        "any",
        &["31:13: error: this leaves out everybody (hint: name those who are left out, or remove the rule)"],
    );
    check("2027-01-31", "2027-02-30", &["31:38: error: `2027-02-30` is no day (hint: write days as 2027-01-31)"]);
    check(
        "who: [nightly], until",
        "who: nightly, group: x, until",
        &["31:13: error: an exception has `who` and other conditions beside it (hint: put the conditions into `who`)"],
    );
}

#[test]
fn sets_of_sets_do_not_grow_without_bound() {
    let mut text = "version: 1\nwho:\n  s0: { group: g }\n".to_owned();
    for level in 1..12 {
        let names = vec![format!("s{}", level - 1); 10].join(", ");
        text.push_str(&format!("  s{level}: [{names}]\n"));
    }
    let errors = told(&text);
    assert!(errors[0].contains("have more than 20000 parts in all"), "{errors:?}");
    let mut text = "version: 1\nwho:\n  s0: { group: g }\n".to_owned();
    for level in 1..10_000 {
        text.push_str(&format!("  s{level:05}: s{:05}\n", level + 1));
    }
    let errors = told(&text);
    assert!(errors.iter().any(|told| told.contains("more than 16 sets name each other in a row")), "{errors:?}");
}

#[test]
fn datasets_that_cannot_be_are_told() {
    check(
        "\"public.customers\"",
        "\"a.b.c\"",
        &[
            "7:54: error: `a.b.c` is no name of a relation (hint: write \"schema.relation\"; the database has a key of its own)",
        ],
    );
    check(
        "name: users",
        "name: shop.users",
        &[
            "8:48: error: `shop.users` is no name of a table (hint: write the table alone; the database has a key of its own)",
        ],
    );
    check(
        "\"public.customers\"",
        "'public.\"Customers\"'",
        &[
            "7:54: error: `public.\"Customers\"` has quotes in it (hint: write names as the catalog shows them, without the \
         quotes of SQL)",
        ],
    );
    check(
        "[email, \"address*\"]",
        "[]",
        &["9:14: error: no column is sensitive (hint: leave `columns` out to mean every column)"],
    );
    check(
        "    key: [id]",
        "    key: [\"i*\"]",
        &["10:11: error: `i*` could be several columns (hint: write each column of the key in full)"],
    );
    check(
        "[{ engine: postgres, database: \"*\", name: \"cards*\" }]",
        "[]",
        &["11:38: error: `cards` has no relations (hint: name one, or remove the dataset)"],
    );
    check(
        "      - { engine: mysql, database: shop, name: users }",
        "      - { engine: postgres, database: support, name: \"public.customers\" }",
        &["8:9: warning: this relation stands here twice, first in line 7 (hint: keep one of them)"],
    );
    check(
        "[customers, cards]",
        "customers",
        &[
            "11:3: warning: no rule names the dataset `cards` (hint: only the defaults decide about it: name it in a rule)",
        ],
    );
    check(
        "[customers, cards]",
        "[customers, crads]",
        &["28:26: error: there is no dataset `crads` (hint: did you mean `cards`?)"],
    );
    check(
        "[customers, cards]",
        "[]",
        &["28:14: error: an empty list of datasets is about nothing (hint: name one, or remove the key)"],
    );
}

#[test]
fn rules_that_cannot_be_are_told() {
    check(
        "    then: refuse\n",
        "",
        &["26:5: error: `no-export` does nothing (hint: give it a `budget`, or `then: refuse`, `alert` or `allow`)"],
    );
    check(
        "name: roles",
        "name: limits",
        &[
            "33:11: error: the rule `limits` stands here twice, first in line 17 (hint: rename one of them)",
            "49:72: error: there is no rule `roles` (hint: there are `limits`, `no-export`, \
             `defaults.unmatched-sensitive`, `defaults.opaque-sensitive`, `defaults.unfollowed-copy`, `defaults.unknown-person`, \
         `defaults.unclassified-egress`)",
        ],
    );
    check(
        "name: no-export",
        "name: defaults.x",
        &[
            "26:11: error: a rule cannot be called `defaults.x` (hint: records name the defaults and detections like this: begin with \
         something else)",
        ],
    );
    check(
        "who: any\n",
        "who: any\n    dataset: cards\n",
        &[
            "37:21: error: `set-role` is about no dataset, so this rule would never match it (hint: give `set-role` a rule of \
         its own without `dataset`)",
        ],
    );
    check(
        "access: [grant, set-role]",
        "access: []",
        &["36:13: error: an empty list of accesses is about nothing (hint: leave `access` out to mean `read`)"],
    );
    check(
        "    then: alert\n",
        "    then: alert\n    message: hello\n",
        &[
            "38:14: warning: nobody reads this message (hint: the client reads it only when the rule refuses or cuts: remove it)",
        ],
    );
    check(
        "\"ask #data-access\"",
        "\"a\\nb\"",
        &[
            "25:14: error: this message has a line break or another control character in it (hint: write one line that says \
         what to do now)",
        ],
    );
    check(
        "22:00-04:00 UTC",
        "22:00-04:00",
        &[
            "32:22: error: `Mon-Fri 22:00-04:00` is not understood as hours of the week (hint: write \"Mon-Fri 08:00-18:00 \
         UTC\", days also as Mon,Wed; always in UTC)",
        ],
    );
    check(
        "{ outside: \"Mon-Fri 22:00-04:00 UTC\" }",
        "{}",
        &[
            "32:11: error: `when` has one of `inside` and `outside` (hint: write { inside: \"Mon-Fri 08:00-18:00 UTC\" })",
        ],
    );
}

#[test]
fn budgets_that_cannot_be_are_told() {
    check(
        "records: 500",
        "records: 0",
        &["22:20: error: a limit of 0 records lets nothing leave (hint: say so: use `then: refuse`)"],
    );
    check(
        "records: 500",
        "records: -5",
        &["22:20: error: expected a whole number, or a size such as 200MiB, found -5"],
    );
    check(
        "records: 500",
        "records: 5KiB",
        &["22:20: error: `5KiB` is no number of records (hint: write a whole number)"],
    );
    check(
        "records: 500",
        "records: 500, rows: 7",
        &["22:9: error: a limit counts one of `records`, `rows` and `bytes` (hint: write one of them in each line: \
         { records: 500, per: hour })"],
    );
    check(
        "{ bytes: 1MiB, per: day }",
        "{ records: 100, per: day }",
        &[
            "21:9: warning: 200 records per statement are never reached: 100 per day come first (hint: remove this limit, or \
         make it smaller than 100)",
            "22:9: error: 500 records per hour are never reached: 100 per day come first (hint: remove this limit, or make it \
         smaller than 100)",
        ],
    );
    check(
        "{ bytes: 1MiB, per: day }",
        "{ records: 400, per: hour }",
        &["23:9: error: records per hour has a limit already, in line 22 (hint: keep the smaller one)"],
    );
    check(
        "50%",
        "0%",
        &["24:11: error: `0%` is no share of a budget (hint: write 1% to 99%; what happens at 100% is said by `then`)"],
    );
    check(
        "50%",
        "100%",
        &[
            "24:11: error: `100%` is no share of a budget (hint: write 1% to 99%; what happens at 100% is said by `then`)",
        ],
    );
    check(
        "50%",
        "80",
        &["24:11: error: `80` is no share of a budget (hint: write 1% to 99%; what happens at 100% is said by `then`)"],
    );
    check(
        "{ 50%: alert, 80%: alert }",
        "{}",
        &["24:9: error: no share of the budget is named (hint: write { 80%: alert }, or remove the key)"],
    );
    check("50%: alert", "50%: refuse", &["24:16: error: a share of a budget can only alert (hint: write `alert`)"]);
    check(
        "    dataset: customers\n",
        "",
        &["20:7: error: a budget needs a dataset whose records it counts (hint: add `dataset`)"],
    );
    check(
        "    message: \"ask",
        "    then: allow\n    message: \"ask",
        &["25:11: error: a budget that allows more at its limit does nothing (hint: leave `then` out to cut, or use \
         `then: alert`)"],
    );
    check(
        "{ bytes: 200MiB, per: hour, then: alert }",
        "{ bytes: 200MiB, per: hour, then: allow }",
        &["42:58: error: a backstop that allows more does nothing (hint: use `alert` or `refuse`, or remove \
         `unclassified-egress`)"],
    );
    check_rules(
        "  - { name: r, who: g, dataset: d, access: ddl, budget: [{ records: 5, per: day }] }",
        &[
            "7:57: error: nothing leaves by these accesses, so a budget can never be reached (hint: use `then: refuse` or \
         `then: alert`)",
        ],
    );
    check_rules(
        "  - { name: r, who: g, dataset: d, then: alert, at: { 5%: alert } }",
        &["7:53: error: `at` needs a budget to be a share of (hint: add `budget`, or use `then: alert`)"],
    );
    check_rules(
        "  - { name: r, who: g, dataset: d, budget: [] }",
        &["7:44: error: an empty budget limits nothing (hint: add a line such as { records: 500, per: hour })"],
    );
}

#[test]
fn rules_that_never_matter_are_told() {
    let refuse_all = "  - { name: all, who: any, dataset: d, then: refuse }\n";
    check_rules(
        &format!("{refuse_all}  - {{ name: r, who: g, dataset: d, budget: [{{ records: 5, per: day }}] }}"),
        &[
            "8:5: warning: `r` never matters: `all` in line 7 refuses the same or more (hint: the strictest rule wins: remove \
         this one, or give `all` an `except`)",
        ],
    );
    check_rules(
        &format!("  - {{ name: r, who: g, dataset: d, then: allow }}\n{refuse_all}"),
        &[
            "7:5: warning: `r` never matters: `all` in line 8 refuses the same or more (hint: the strictest rule wins: remove \
         this one, or give `all` an `except`)",
        ],
    );
    check_rules(
        "  - { name: a, who: g, dataset: d, then: refuse }\n  - { name: b, who: g, dataset: d, then: refuse }",
        &[
            "8:5: warning: `b` never matters: `a` in line 7 refuses the same or more (hint: the strictest rule wins: remove \
         this one, or give `a` an `except`)",
        ],
    );
    check_rules(
        "  - { name: a, who: any, dataset: d, then: alert }\n  - { name: b, who: g, dataset: d, then: alert }",
        &["8:5: warning: `b` never matters: `a` in line 7 does the same or more (hint: remove it)"],
    );
    check_rules(
        "  - { name: a, who: any, dataset: d, budget: [{ records: 5, per: day }] }\n  \
           - { name: b, who: g, dataset: d, then: allow }",
        &[
            "8:5: warning: `b` lifts no limit: those of `a` in line 7 still hold (hint: the strictest rule wins: leave these \
           people out by `except` in `a`)",
        ],
    );
    check_rules(
        "  - { name: a, who: any, dataset: d, budget: [{ records: 5, per: day }] }\n  \
           - { name: b, who: g, dataset: d, budget: [{ records: 5, per: hour }, { records: 4, per: hour }] }",
        &["8:72: error: records per hour has a limit already, in line 8 (hint: keep the smaller one)"],
    );
    check_rules(
        "  - { name: a, who: any, dataset: d, budget: [{ records: 5, per: day }] }\n  \
           - { name: b, who: g, dataset: d, budget: [{ records: 5, per: hour }] }",
        &["8:45: warning: 5 records per hour are never reached: 5 per day of `a` in line 7 come first (hint: make it \
           smaller than 5, or remove it)"],
    );
    for matters in [
        // Another time, somebody left out, another access, another dataset, not everybody, only told.
        "  - { name: a, who: any, dataset: d, then: refuse, when: { inside: \"Mon 00:00-24:00 UTC\" } }\n",
        "  - { name: a, who: any, dataset: d, then: refuse, except: g }\n",
        "  - { name: a, who: any, dataset: d, access: export, then: refuse }\n",
        "  - { name: a, who: { not: g }, dataset: d, then: refuse }\n",
        "  - { name: a, who: { group: g, account: x }, dataset: d, then: refuse }\n",
        "  - { name: a, mode: observe, who: any, dataset: d, then: refuse }\n",
        "  - { name: a, who: any, dataset: d, budget: [{ records: 6, per: day }] }\n",
        "  - { name: a, who: any, dataset: d, budget: [{ records: 4, per: minute }] }\n",
        "  - { name: a, who: any, dataset: d, budget: [{ records: 4, per: day }], then: alert }\n",
    ] {
        check_rules(
            &format!("{matters}  - {{ name: b, who: g, dataset: d, budget: [{{ records: 5, per: hour }}] }}"),
            &[],
        );
    }
}

#[test]
fn tests_that_cannot_be_are_told() {
    check("rule: limits", "rule: limist", &["49:47: error: there is no rule `limist` (hint: did you mean `limits`?)"]);
    check("decision: cut", "decision: stop", &["49:25: error: `stop` is none of `allow`, `alert`, `refuse`, `cut`"]);
    check(
        "decision: cut",
        "decision: allow",
        &["49:39: error: `after` is for a cut (hint: write `decision: cut`, or remove `after`)"],
    );
    check(
        "at: 2026-11-24 03:00 UTC",
        "at: yesterday",
        &["46:102: error: `yesterday` is no moment (hint: write it as 2026-11-24 03:00 UTC)"],
    );
    check(
        "day: 450",
        "day: 400",
        &[
            "46:91: error: 400 per day are fewer than 450 in a shorter window (hint: a longer window holds all that a shorter \
         one holds)",
        ],
    );
    check(
        "hour: 450, day: 450",
        "week: 1",
        &[
            "46:73: error: no window is named (hint: write { hour: 450 }, or remove the key)",
            "46:75: error: unknown key `week` (hint: keys here are `minute`, `hour`, `day`, `30d`)",
        ],
    );
    check(
        "person: alice",
        "source: nowhere, person: alice",
        &["46:22: error: `nowhere` is no address (hint: write one such as 10.0.0.7)"],
    );
    check(
        "rows: 1000",
        "rows: 10000000",
        &["48:22: error: a test plays at most 1000000 rows (hint: fewer show the same)"],
    );
    check(
        "  public.customers:",
        "  customers:",
        &["51:3: error: `customers` is no name of a table (hint: write it as \"public.customers\")"],
    );
    check("key: [id], rows", "key: [di], rows", &["51:51: error: there is no column `di` (hint: did you mean `id`?)"]);
}
