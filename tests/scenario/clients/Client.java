import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Client URL: three requests with java.net.http.HttpClient as it comes; trust store and proxy are system properties. */
class Client {
    public static void main(String[] arguments) throws Exception {
        String key = System.getenv("API_KEY");
        HttpClient client = HttpClient.newHttpClient();

        for (String name : new String[] {"get", "post", "down"}) {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(arguments[0] + "/" + name)).header("x-api-key", key);
            if (name.equals("post"))
                request.POST(HttpRequest.BodyPublishers.ofString("x".repeat(299957) + key));
            HttpResponse<String> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
            String proto = answer.version() == HttpClient.Version.HTTP_2 ? "h2" : "h1";
            String got = answer.body().length() < 100 ? answer.body().strip() : "" + answer.body().length();
            System.out.println(name + " " + answer.statusCode() + " " + proto + " " + got);
        }
    }
}
