import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.codelibs.opensearch.runner.node.OpenSearchRunnerNode;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

/** A node with the modules of the distribution that alerts need, on one class path: its folder is the argument. */
public class Server {
    /** Names that differ between the lines 2 and 3 only by what stands in place of the star. */
    static final String[] MODULES = {
        "org.opensearch.transport.Netty4*Plugin",
        "org.opensearch.analysis.common.CommonAnalysis*Plugin",
        "org.opensearch.painless.Painless*Plugin",
        "org.opensearch.index.mapper.MapperExtras*Plugin",
        "org.opensearch.index.reindex.Reindex*Plugin",
    };

    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        Path config = home.resolve("config");
        Settings settings = Settings.builder()
            .loadFromPath(config.resolve("opensearch.yml"))
            .put("path.home", home.toString())
            .build();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings, Collections.emptyMap(), config, () -> "node");
        LogConfigurator.configure(environment);
        List<Class<? extends Plugin>> plugins = new ArrayList<>();
        for (String name : MODULES) plugins.add(module(name));
        Node node = new OpenSearchRunnerNode(environment, plugins);
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
                node.awaitClose(20, TimeUnit.SECONDS);
            } catch (Exception exception) {
                exception.printStackTrace();
            } finally {
                stopped.countDown();
            }
        }));
        node.start();
        stopped.await();
    }

    static Class<? extends Plugin> module(String pattern) throws ClassNotFoundException {
        try {
            return Class.forName(pattern.replace("*", "Module")).asSubclass(Plugin.class);
        } catch (ClassNotFoundException exception) {
            return Class.forName(pattern.replace("*", "")).asSubclass(Plugin.class);
        }
    }
}
