import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/**
 * The four hops of BenchmarkKafkaStreams (app/kafka_bench_test.go) as Kafka Streams does them: raw-events, features, predictions,
 * decisions, each a topic of plain JSON that Jackson writes and reads at every hop, one record an event, keyed by the application. The
 * model is a logistic function of the vector; AURA's runs its forest.
 *
 * It reads raw events that are in their topic already, and prints one line of JSON when N distinct decisions have been read:
 * the clock begins with the first raw event that is read. Processor time is the process' own between the same two moments.
 *
 * java -cp 'libs/*' Pipeline.java BROKER PREFIX EVENTS [name=value ...]   (settings of Kafka Streams)
 */
public final class Pipeline {
    static final ObjectMapper JSON = new ObjectMapper().configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);

    @JsonInclude(JsonInclude.Include.NON_NULL)
    static class Subject {
        public String id, application_id, accepted_at, source, trace_id;

        <T extends Subject> T to(T other) {
            other.id = id;
            other.application_id = application_id;
            other.accepted_at = accepted_at;
            other.source = source;
            other.trace_id = trace_id;
            return other;
        }
    }

    static final class RawEvent extends Subject {
        public Map<String, Object> features;
    }

    static class Features extends Subject {
        public double[] values, vector;
    }

    static final class Reason {
        public String code, feature, text;
        public double contribution;
    }

    static final class Prediction extends Features {
        public double probability_of_default;
        public Reason[] reasons;
        public int model_version;
        public String model_digest;
        public long generation;
    }

    static final class Decision extends Subject {
        public String decision;
        public Double probability_of_default;
        public Reason[] reasons;
        public int model_version;
        public String model_digest;
        public long champion_generation;
        public String mode;
        public long mode_generation;
        public String decided_at;
        public double latency_ms;
        public long incarnation;
    }

    static <T> Serde<T> json(Class<T> type) {
        return Serdes.serdeFrom((topic, value) -> {
            try {
                return JSON.writeValueAsBytes(value);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }, (topic, raw) -> {
            try {
                return JSON.readValue(raw, type);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
    }

    static double number(Map<String, Object> features, String name) {
        return features.get(name) instanceof Number n ? n.doubleValue() : Double.NaN;
    }

    static Features vectorise(RawEvent raw) {
        Features out = raw.to(new Features());
        double income = number(raw.features, "income"), loan = number(raw.features, "loan_amount");
        out.values = new double[] {
            number(raw.features, "credit_score"), number(raw.features, "debt_ratio"), income, loan, number(raw.features, "employment_years"),
        };
        out.vector = out.values.clone();
        out.vector[2] = (float) Math.log1p(income);
        out.vector[3] = (float) Math.log1p(loan);
        return out;
    }

    static final double[] WEIGHTS = {-0.011, 3.1, -0.35, 0.22, -0.06};

    static Prediction score(Features in) {
        Prediction out = in.to(new Prediction());
        out.values = in.values;
        out.vector = in.vector;
        double sum = 6;
        for (int i = 0; i < WEIGHTS.length; i++) {
            sum += WEIGHTS[i] * in.vector[i];
        }
        out.probability_of_default = 1 / (1 + Math.exp(-sum));
        if (out.probability_of_default > 0.3) {
            Reason r = new Reason();
            r.code = "R02";
            r.feature = "debt_ratio";
            r.text = "Debt is high in proportion to income";
            r.contribution = WEIGHTS[1] * in.vector[1] / sum;
            out.reasons = new Reason[] {r};
        }
        out.model_version = 1;
        out.model_digest = "9f86d081884c7d659a2feaa0c55ad0159f86d081884c7d659a2feaa0c55ad015";
        out.generation = 1;
        return out;
    }

    static Decision decide(Prediction in) {
        Decision out = in.to(new Decision());
        double p = in.probability_of_default;
        out.decision = p < 0.3 ? "APPROVE" : p < 0.5 ? "REFER" : "DECLINE";
        out.probability_of_default = p;
        out.reasons = in.reasons == null ? new Reason[0] : in.reasons;
        out.model_version = in.model_version;
        out.model_digest = in.model_digest;
        out.champion_generation = in.generation;
        out.mode = "MODEL";
        out.mode_generation = 1;
        java.time.Instant now = java.time.Instant.now();
        out.decided_at = now.toString();
        out.latency_ms = java.time.Duration.between(java.time.Instant.parse(in.accepted_at), now).toNanos() / 1e6;
        out.incarnation = 1;
        return out;
    }

    static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    public static void main(String[] args) throws Exception {
        String broker = args[0], prefix = args[1];
        int events = Integer.parseInt(args[2]);
        Path state = Files.createTempDirectory("kafka-streams-bench-");
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "streams");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, broker);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "2");
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        for (int i = 3; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        Serde<String> key = Serdes.String();
        AtomicLong begun = new AtomicLong(), used = new AtomicLong(), half = new AtomicLong();
        Set<String> seen = ConcurrentHashMap.newKeySet(2 * events);
        CountDownLatch all = new CountDownLatch(1);
        StreamsBuilder graph = new StreamsBuilder();
        graph.stream(prefix + "raw-events", Consumed.with(key, json(RawEvent.class))).mapValues(raw -> {
            if (begun.get() == 0 && begun.compareAndSet(0, System.nanoTime())) {
                used.set(cpu());
            }
            return vectorise(raw);
        }).to(prefix + "features", Produced.with(key, json(Features.class)));
        graph.stream(prefix + "features", Consumed.with(key, json(Features.class))).mapValues(Pipeline::score)
            .to(prefix + "predictions", Produced.with(key, json(Prediction.class)));
        graph.stream(prefix + "predictions", Consumed.with(key, json(Prediction.class))).mapValues(Pipeline::decide)
            .to(prefix + "decisions", Produced.with(key, json(Decision.class)));
        graph.stream(prefix + "decisions", Consumed.with(key, json(Decision.class))).foreach((k, d) -> {
            if (!seen.add(d.id)) {
                return;
            }
            int n = seen.size();
            if (n >= (events + 1) / 2) {
                half.compareAndSet(0, System.nanoTime());
            }
            if (n == events) {
                all.countDown();
            }
        });
        KafkaStreams streams = new KafkaStreams(graph.build(), settings);
        streams.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            Runtime.getRuntime().halt(1);
            return null;
        });
        streams.start();
        all.await();
        long end = System.nanoTime(), spent = cpu() - used.get();
        System.out.printf("{\"seconds\":%f,\"second_half\":%f,\"cpu_seconds\":%f}%n", (end - begun.get()) / 1e9, (end - half.get()) / 1e9, spent / 1e9);
        System.out.flush();
        Runtime.getRuntime().halt(0); // a clean end would commit, which is no part of the measurement
    }
}
