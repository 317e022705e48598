import com.amazonaws.services.dynamodbv2.local.main.ServerRunner;
import com.amazonaws.services.dynamodbv2.local.server.DynamoDBProxyServer;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/**
 * DynamoDB Local, for this machine alone. Its own command listens on every interface and has no option against it; this one
 * takes the same options but for the port: it listens on 127.0.0.1, on a port that the system chooses, and says which.
 */
public final class LoopbackServer {
    public static void main(String[] options) throws Exception {
        DynamoDBProxyServer dynamodb = ServerRunner.createServerFromCommandLineArgs(options);
        ServerConnector connector = (ServerConnector) jettyOf(dynamodb).getConnectors()[0];
        connector.setHost("127.0.0.1");
        connector.setPort(0);
        dynamodb.safeStart();
        System.out.println("listening on 127.0.0.1:" + connector.getLocalPort());
        dynamodb.join();
    }

    private static Server jettyOf(DynamoDBProxyServer dynamodb) throws ReflectiveOperationException {
        var field = DynamoDBProxyServer.class.getDeclaredField("server");
        field.setAccessible(true);
        return (Server) field.get(dynamodb);
    }
}
