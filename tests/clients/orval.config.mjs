export default {
  pingback: {
    input: process.env.CONTRACT,
    output: { target: process.env.TARGET, client: "fetch", headers: true, baseUrl: process.env.API },
  },
};
