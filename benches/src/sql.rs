//! Reading SQL: the shape, which every statement pays, and the analysis, which only a new shape pays.

use weir_policy::analysis::{Context, LexSettings, analyse, shape};
use weir_policy::catalog::Catalog;
use weir_policy::relation::Engine;

use crate::database;
use crate::measure::{Bench, Per};

const POINT: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 471123;";
const LOOK_UP: &str = "select id, name, email, phone from customers where id = 42 and region = 'north' limit 1";
const ORM: &str = "SELECT \"customers\".\"id\", \"customers\".\"name\", \"customers\".\"email\", \"tickets\".\"id\", \
    \"tickets\".\"subject\", \"tickets\".\"status\", \"tickets\".\"opened_at\" FROM \"customers\" LEFT OUTER JOIN \
    \"tickets\" ON (\"tickets\".\"customer_id\" = \"customers\".\"id\" AND \"tickets\".\"status\" IN ('open', 'waiting')) \
    WHERE (UPPER(\"customers\".\"name\"::text) LIKE UPPER('%smith%') AND NOT (\"customers\".\"region\" = 'south')) \
    ORDER BY \"customers\".\"name\" ASC LIMIT 21";
const JOIN: &str = "with recent as (select customer_id, max(placed_at) as last, sum(total) as spent from orders where \
    placed_at > '2026-01-01' group by customer_id having count(*) > 2) select c.name, c.email, r.spent, p.title, \
    sum(l.quantity * l.price) from recent r join customers c on c.id = r.customer_id join orders o on o.customer_id = \
    c.id join order_lines l on l.order_id = o.id join products p on p.id = l.product_id where p.sku like 'A%' group by \
    1, 2, 3, 4 order by 5 desc limit 50";
const PSQL: &str = "SELECT n.nspname as \"Schema\", c.relname as \"Name\", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' \
    THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' END as \"Type\", \
    pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n \
    ON n.oid = c.relnamespace WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname <> 'pg_catalog' AND \
    n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema' ORDER BY 1,2";

const MYSQL_POINT: &str = "SELECT c FROM sbtest1 WHERE id=471123";
const MYSQL_ORM: &str = "SELECT `customers`.`id`, `customers`.`name`, `customers`.`email`, `tickets`.`id`, \
    `tickets`.`subject`, `tickets`.`status`, `tickets`.`opened_at` FROM `customers` LEFT OUTER JOIN `tickets` ON \
    (`tickets`.`customer_id` = `customers`.`id` AND `tickets`.`status` IN ('open', 'waiting')) WHERE \
    (`customers`.`name` LIKE '%smith%' AND NOT (`customers`.`region` = 'south')) ORDER BY `customers`.`name` ASC LIMIT 21";
const MYSQL_DUMP: &str = "SELECT /*!40001 SQL_NO_CACHE */ `id`, `name`, `email`, `phone`, `region` FROM `customers`";
const MYSQL: [(&str, &str); 4] =
    [("point select", MYSQL_POINT), ("look-up", LOOK_UP), ("ORM join", MYSQL_ORM), ("mysqldump", MYSQL_DUMP)];

/// Everything about SQL.
pub(crate) fn run(bench: &mut Bench) {
    if bench.wants("shape") {
        for (name, text) in [("point select", POINT), ("look-up", LOOK_UP), ("ORM join", ORM), ("five tables", JOIN)] {
            let name = format!("shape/{name}, {} B", text.len());
            bench.run(&name, Per::Bytes(text.len()), || shape(text.as_bytes(), LexSettings::default()));
        }
        for (name, text) in MYSQL {
            let name = format!("shape/mysql: {name}, {} B", text.len());
            bench.run(&name, Per::Bytes(text.len()), || shape(text.as_bytes(), LexSettings::of(Engine::Mysql)));
        }
        let values =
            format!("insert into orders values (1, 2, '2026-11-24', 9.50){}", ", (1, 2, 'x', 9.50)".repeat(2000));
        bench.run("shape/insert of 2,000 rows, 38 KB", Per::Bytes(values.len()), || {
            shape(values.as_bytes(), LexSettings::default())
        });
    }
    if bench.wants("analyse") {
        let small = database::catalog(0);
        for (name, text) in [
            ("point select", POINT),
            ("look-up", LOOK_UP),
            ("ORM join", ORM),
            ("five tables", JOIN),
            ("psql \\d", PSQL),
        ] {
            analysed(bench, &format!("analyse/{name}"), text, &small);
        }
        let mysql = database::mysql_catalog();
        for (name, text) in MYSQL {
            analysed(bench, &format!("analyse/mysql: {name}"), text, &mysql);
        }
        for others in [100, 10_000] {
            let catalog = database::catalog(others);
            analysed(bench, &format!("analyse/five tables among {others} more"), JOIN, &catalog);
        }
        let many = format!("select id from customers where id = 1{}", " or id = 2".repeat(600));
        analysed(bench, "analyse/600 alternatives, 6 KB", &many, &small);
        let beyond = format!("select email from customers where {}1=1", "(1=1) and ".repeat(20_000));
        analysed(bench, "analyse/beyond the parser's bounds, 200 KB", &beyond, &small);
    }
}

fn analysed(bench: &mut Bench, name: &str, text: &str, catalog: &Catalog) {
    let search_path = match catalog.engine() {
        Engine::Postgres => database::search_path(),
        Engine::Mysql => database::mysql_path(),
    };
    let context =
        Context { lex: LexSettings::of(catalog.engine()), catalog, search_path: &search_path, temporary: &[] };
    bench.run(name, Per::Bytes(text.len()), || analyse(text.as_bytes(), &context));
}
