// Meets errors of the server's that name a value, until Weir withholds them, and goes on.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Properties;

public class WithheldJdbc {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", System.getenv("PGPASSWORD"));
        properties.setProperty("sslmode", "disable");
        properties.setProperty("gssEncMode", "disable");
        String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + System.getenv("PGDATABASE");
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            try (PreparedStatement cast = connection.prepareStatement("select cast(email as int) from customers where id = ?")) {
                for (int number = 1; number <= 3; number++) {
                    cast.setInt(1, number);
                    try (ResultSet rows = cast.executeQuery()) {
                        System.out.println("no error");
                    } catch (SQLException error) {
                        boolean own = error.getMessage().contains("customer" + number + "@");
                        boolean withheld = error.getMessage().contains("withheld");
                        System.out.println(error.getSQLState() + (own ? " own" : withheld ? " withheld" : " " + error.getMessage()));
                    }
                }
            }
            try (ResultSet rows = connection.createStatement().executeQuery("select count(*) from articles")) {
                System.out.println(rows.next() && rows.getInt(1) == 500 ? "usable" : "broken");
            }
        }
    }
}
