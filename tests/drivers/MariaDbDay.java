// MariaDB Connector/J: text and prepared on the server, fetch sizes, batches (in bulk too), procedures, metadata.
// Prints a transcript that must be the same directly and through Weir. The connection comes from DB_* variables.

import java.sql.BatchUpdateException;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.Arrays;

public class MariaDbDay {
    interface Action {
        void run() throws SQLException;
    }

    static Connection connect(String options) throws SQLException {
        String url = "jdbc:mariadb://" + System.getenv("DB_HOST") + ":" + System.getenv("DB_PORT") + "/" + System.getenv("DB_NAME")
            + "?user=" + System.getenv("DB_USER") + "&password=" + System.getenv("DB_PASSWORD") + "&allowPublicKeyRetrieval=true" + options;
        return DriverManager.getConnection(url);
    }

    static void print(ResultSet rows) throws SQLException {
        ResultSetMetaData shape = rows.getMetaData();
        while (rows.next()) {
            StringBuilder line = new StringBuilder();
            for (int column = 1; column <= shape.getColumnCount(); column++) {
                byte[] bytes = shape.getColumnTypeName(column).contains("BLOB") || shape.getColumnTypeName(column).contains("BINARY")
                    ? rows.getBytes(column) : null;
                line.append(shape.getColumnLabel(column)).append('=')
                    .append(bytes == null ? rows.getString(column) : Arrays.toString(bytes)).append(' ');
            }
            System.out.println(line);
        }
    }

    static void attempt(String label, Action action) {
        try {
            action.run();
        } catch (SQLException error) {
            // The number of the connection, which the driver puts before its messages, is another in each run.
            System.out.println(label + " " + error.getErrorCode() + " " + error.getSQLState() + " " + error.getMessage().replaceAll("conn=\\d+", "conn"));
            return;
        }
        throw new IllegalStateException(label + ": no error");
    }

    static void day(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            print(statement.executeQuery("select * from every_type order by id"));
            System.out.println(statement.executeUpdate("update articles set title = title where id < 10"));
            boolean more = statement.execute("select 1; select 'two'; set @x = 3; select @x");
            while (more || statement.getUpdateCount() != -1) {
                if (more) print(statement.getResultSet());
                more = statement.getMoreResults();
            }
        }
        try (PreparedStatement look = connection.prepareStatement("select id, name, email, balance, created_at, vip from customers where id = ?")) {
            for (int id = 1; id <= 6; id++) {
                look.setInt(1, id);
                print(look.executeQuery());
            }
        }
        try (PreparedStatement types = connection.prepareStatement("select * from every_type where id = ?")) {
            types.setInt(1, 1);
            print(types.executeQuery());
        }
        try (PreparedStatement all = connection.prepareStatement("select id, email from customers where id <= ? order by id")) {
            all.setFetchSize(64);
            all.setInt(1, 700);
            int count = 0;
            try (ResultSet rows = all.executeQuery()) {
                while (rows.next()) count++;
            }
            System.out.println("in pieces " + count);
            try (ResultSet rows = all.executeQuery()) {
                rows.next();
                System.out.println("abandoned at " + rows.getInt(1));
            }
        }
        try (CallableStatement call = connection.prepareCall("{call two_results(?)}")) {
            call.setInt(1, 2);
            boolean more = call.execute();
            while (more) {
                print(call.getResultSet());
                more = call.getMoreResults();
            }
        }
        connection.setAutoCommit(false);
        try (PreparedStatement insert = connection.prepareStatement("insert into articles (id, title, body) values (?, ?, ?)")) {
            for (int number = 0; number < 120; number++) {
                insert.setInt(1, 9000 + number);
                insert.setString(2, number % 7 == 0 ? null + "" : "title " + number);
                insert.setString(3, "body");
                insert.addBatch();
            }
            System.out.println("batch " + insert.executeBatch().length);
        }
        Savepoint savepoint = connection.setSavepoint("s");
        try (Statement statement = connection.createStatement()) {
            print(statement.executeQuery("select count(*), max(title) from articles where id >= 9000"));
            statement.executeUpdate("delete from articles where id >= 9000");
            connection.rollback(savepoint);
            print(statement.executeQuery("select count(*) from articles where id >= 9000"));
        }
        connection.rollback();
        connection.setAutoCommit(true);
        try (Statement statement = connection.createStatement()) {
            attempt("syntax", () -> statement.executeQuery("selec 1"));
            attempt("missing", () -> connection.prepareStatement("select * from no_such_table where id = ?").executeQuery());
            attempt("unique", () -> statement.executeUpdate("insert into products select * from products where id = 1"));
            attempt("unique in a batch", () -> {
                try (PreparedStatement twice = connection.prepareStatement("insert into products values (?, 'x', 'y', 1)")) {
                    for (int number = 0; number < 2; number++) {
                        twice.setInt(1, 1);
                        twice.addBatch();
                    }
                    twice.executeBatch();
                } catch (BatchUpdateException error) {
                    throw new SQLException(error.getMessage(), error.getSQLState(), error.getErrorCode());
                }
            });
            print(statement.executeQuery("select length(repeat('x', 17000000)) as n"));
            try (ResultSet big = statement.executeQuery("select repeat('x', 17000000)")) {
                big.next();
                System.out.println("big " + big.getString(1).length());
            }
        }
    }

    static void metadata(Connection connection) throws SQLException {
        DatabaseMetaData about = connection.getMetaData();
        String database = connection.getCatalog();
        try (ResultSet tables = about.getTables(database, null, "%", new String[] {"TABLE", "VIEW"})) {
            while (tables.next()) System.out.println(tables.getString("TABLE_NAME") + " " + tables.getString("TABLE_TYPE"));
        }
        for (String table : new String[] {"customers", "tickets"}) {
            for (ResultSet found : new ResultSet[] {about.getColumns(database, null, table, "%"), about.getPrimaryKeys(database, null, table),
                about.getIndexInfo(database, null, table, false, true), about.getImportedKeys(database, null, table)}) {
                int count = 0;
                while (found.next()) count++;
                System.out.println(table + " " + count);
            }
        }
        System.out.println(connection.isValid(5));
    }

    public static void main(String[] arguments) throws SQLException {
        for (String options : new String[] {
            "&allowMultiQueries=true",
            "&allowMultiQueries=true&useServerPrepStmts=true&useBulkStmts=false",
            "&allowMultiQueries=true&useServerPrepStmts=true&cachePrepStmts=true&useBatchMultiSend=false" + bulk(),
        }) {
            System.out.println("# " + options.replaceAll("&useBulkStmts=.*", ""));
            try (Connection connection = connect(options)) {
                day(connection);
                metadata(connection);
            }
        }
        System.out.println("all of it");
    }

    /** Whether batches may go as COM_STMT_BULK_EXECUTE, which only MariaDB has and Weir passes only where it is told to. */
    static String bulk() {
        return "&useBulkStmts=" + ("yes".equals(System.getenv("ALLOWED")) ? "true" : "false");
    }
}
