// PgJDBC: prepared statements, fetch size, batches, autocommit off, metadata, generated keys, cancel, COPY.
// Prints a transcript that must be the same directly and through Weir. The connection comes from PG* variables.

import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.Properties;
import org.postgresql.PGConnection;

public class JdbcDay {
    interface Action {
        void run() throws Exception;
    }

    static void said(Object... words) {
        StringBuilder line = new StringBuilder();
        for (Object word : words) line.append(word).append(' ');
        System.out.println(line.toString().trim());
    }

    static void attempt(String label, Action action) throws Exception {
        try {
            action.run();
        } catch (SQLException error) {
            said(label, error.getSQLState(), error.getMessage().split("\n")[0]);
            return;
        }
        throw new IllegalStateException(label + ": no error");
    }

    static void print(ResultSet rows) throws SQLException {
        ResultSetMetaData meta = rows.getMetaData();
        while (rows.next()) {
            StringBuilder line = new StringBuilder();
            for (int i = 1; i <= meta.getColumnCount(); i++) {
                line.append(meta.getColumnName(i)).append('=').append(rows.getString(i)).append("; ");
            }
            said(line);
        }
    }

    static Connection connect(String... extra) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("sslmode", "disable");
        properties.setProperty("gssEncMode", "disable");
        for (int i = 0; i < extra.length; i += 2) properties.setProperty(extra[i], extra[i + 1]);
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        return DriverManager.getConnection(url, properties);
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection connection = connect("ApplicationName", "jdbc day")) {
            try (Statement statement = connection.createStatement()) {
                print(statement.executeQuery("select * from every_type order by id"));
                print(statement.executeQuery("select current_setting('application_name') as app"));
                boolean more = statement.execute("select 1 as a; select 2 as b; update articles set title = title where id < 0");
                for (; more || statement.getUpdateCount() != -1; more = statement.getMoreResults()) {
                    if (more) print(statement.getResultSet());
                    else said("updated", statement.getUpdateCount());
                }
            }
            // Past the fifth run PgJDBC names the statement on the server and switches to binary.
            try (PreparedStatement lookup = connection.prepareStatement("select id, name, balance, created_at from customers where id = ?")) {
                for (int id = 1; id <= 8; id++) {
                    lookup.setInt(1, id);
                    print(lookup.executeQuery());
                }
            }
            connection.setAutoCommit(false);
            try (PreparedStatement all = connection.prepareStatement("select id, email from customers where id <= ? order by id")) {
                all.setFetchSize(60);
                all.setInt(1, 250);
                int count = 0;
                try (ResultSet rows = all.executeQuery()) {
                    while (rows.next()) count++;
                }
                said("fetched", count);
                // A result that is closed half-way, and another statement on the same connection.
                try (ResultSet rows = all.executeQuery()) {
                    rows.next();
                    said("first", rows.getString(2));
                }
            }
            try (PreparedStatement insert = connection.prepareStatement("insert into articles values (?, ?, ?, ?)")) {
                for (int n = 0; n < 300; n++) {
                    insert.setInt(1, 9400 + n);
                    insert.setString(2, "title " + n);
                    insert.setString(3, "body");
                    insert.setObject(4, java.time.LocalDate.of(2026, 1, 1));
                    insert.addBatch();
                }
                said("batch", insert.executeBatch().length);
            }
            Savepoint savepoint = connection.setSavepoint("here");
            attempt("constraint", () -> connection.createStatement().execute("insert into articles select * from articles where id = 1"));
            attempt("failed transaction", () -> connection.createStatement().execute("select 1"));
            connection.rollback(savepoint);
            try (Statement statement = connection.createStatement()) {
                print(statement.executeQuery("select count(*) as n from articles where id >= 9400"));
            }
            connection.rollback();
            try (PreparedStatement insert = connection.prepareStatement(
                    "insert into tickets (customer_id, subject) values (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                insert.setInt(1, 5);
                insert.setString(2, "from Java");
                said("inserted", insert.executeUpdate());
                try (ResultSet keys = insert.getGeneratedKeys()) {
                    said("key", keys.next() && keys.getLong("id") > 0, keys.getString("subject"));
                }
            }
            try (PreparedStatement in = connection.prepareStatement("select id, name from customers where id = any (?) order by id")) {
                Array ids = connection.createArrayOf("int4", new Object[] {3, 1, 2});
                in.setArray(1, ids);
                print(in.executeQuery());
            }
            connection.rollback();
            connection.setAutoCommit(true);

            DatabaseMetaData meta = connection.getMetaData();
            print(meta.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}));
            print(meta.getColumns(null, "public", "customers", "%"));
            print(meta.getPrimaryKeys(null, "public", "customers"));
            print(meta.getImportedKeys(null, "public", "tickets"));
            print(meta.getIndexInfo(null, "public", "tickets", false, true));

            attempt("syntax", () -> connection.createStatement().execute("selec 1"));
            try (Statement slow = connection.createStatement()) {
                slow.setQueryTimeout(1);
                attempt("timed out", () -> slow.execute("select pg_sleep(60)"));
            }
            try (Statement statement = connection.createStatement()) {
                print(statement.executeQuery("select 'yes' as usable"));
                statement.setMaxRows(3);
                print(statement.executeQuery("select id from articles order by id"));
            }

            PGConnection native_ = connection.unwrap(PGConnection.class);
            StringWriter out = new StringWriter();
            said("copied out", native_.getCopyAPI().copyOut("copy (select id, title from articles where id <= 100) to stdout", out), out.toString().length());
            try (Statement statement = connection.createStatement()) {
                statement.execute("create temp table loaded (id int, note text)");
                said("copied in", native_.getCopyAPI().copyIn("copy loaded from stdin (format csv)", new StringReader("1,one\n2,two\n")));
                attempt("copy error", () -> native_.getCopyAPI().copyIn("copy loaded from stdin", new StringReader("x\ty\n")));
                statement.execute("listen news");
                statement.execute("notify news, 'hello'");
                said("heard", native_.getNotifications(5000)[0].getParameter());
            }
        }
        for (String mode : new String[] {"simple", "extended", "extendedForPrepared", "extendedCacheEverything"}) {
            try (Connection connection = connect("preferQueryMode", mode);
                    PreparedStatement lookup = connection.prepareStatement("select id, name from customers where email = ?")) {
                for (int id = 21; id <= 27; id++) {
                    lookup.setString(1, "customer" + id + "@example.org");
                    print(lookup.executeQuery());
                }
                said(mode);
            }
        }
        said("all of it");
    }
}
