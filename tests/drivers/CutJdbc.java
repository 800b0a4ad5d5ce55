// Reads customers with PgJDBC's fetch size until cut.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

public class CutJdbc {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("sslmode", "disable");
        properties.setProperty("gssEncMode", "disable");
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        int received = 0;
        String state = "none";
        boolean usable = false;
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            connection.setAutoCommit(false);
            try (PreparedStatement theft = connection.prepareStatement("select id, name, email from customers order by id")) {
                theft.setFetchSize(50);
                try (ResultSet rows = theft.executeQuery()) {
                    while (rows.next()) received++;
                }
            } catch (SQLException error) {
                state = error.getSQLState();
            }
            connection.rollback();
            try (ResultSet rows = connection.createStatement().executeQuery("select count(*) from articles")) {
                usable = rows.next() && rows.getInt(1) == 500;
            }
        }
        System.out.println("received " + received + " " + state + " " + (usable ? "usable" : "broken"));
    }
}
