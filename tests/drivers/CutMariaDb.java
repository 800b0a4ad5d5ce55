// Reads customers with MariaDB Connector/J's fetch size until cut: rows as they stream, and from a cursor.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;

public class CutMariaDb {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:mariadb://" + System.getenv("DB_HOST") + ":" + System.getenv("DB_PORT") + "/" + System.getenv("DB_NAME")
            + "?user=" + System.getenv("DB_USER") + "&password=" + System.getenv("DB_PASSWORD")
            + "&allowPublicKeyRetrieval=true&useServerPrepStmts=true";
        int received = 0;
        String state = "none";
        boolean usable = false;
        try (Connection connection = DriverManager.getConnection(url)) {
            try (PreparedStatement theft = connection.prepareStatement("select id, name, email from customers where id > ? order by id")) {
                theft.setFetchSize(1);
                theft.setInt(1, 0);
                try (ResultSet rows = theft.executeQuery()) {
                    while (rows.next()) received++;
                }
            } catch (SQLException error) {
                state = error.getErrorCode() + " " + error.getSQLState();
            }
            try (ResultSet rows = connection.createStatement().executeQuery("select count(*) from articles")) {
                usable = rows.next() && rows.getInt(1) == 500;
            }
        }
        System.out.println("received " + received + " " + state + " " + (usable ? "usable" : "broken"));
    }
}
